/** What long work is doing, on stderr: a line that changes where that is a terminal, and else a line for each phase. */
export class PhaseProgress {
  readonly #isTerminal = process.stderr.isTTY === true;
  #phase = '';
  #shownAt = 0;

  /** @param total how much there is to do; 0 where nobody knows. */
  show(phase: string, done = 0, total = 0): void {
    const isNew = phase !== this.#phase;
    this.#phase = phase;
    if (!this.#isTerminal) {
      if (isNew) process.stderr.write(`${phase}\n`);
      return;
    }
    const now = performance.now();
    if (!isNew && now - this.#shownAt < 100 && done < total) return;
    this.#shownAt = now;
    process.stderr.write(`\r\u001b[K${phase}${total > 0 ? ` ${done}/${total}` : ''}`);
  }

  /** Takes the line away. */
  end(): void {
    if (this.#isTerminal && this.#phase !== '') process.stderr.write('\r\u001b[K');
    this.#phase = '';
  }
}
