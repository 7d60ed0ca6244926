/** Progress of long work on stderr: one changing line on a terminal, otherwise one line per phase. */
export class PhaseProgress {
  readonly #isTerminal = process.stderr.isTTY === true;
  #phase = '';
  #shownAt = 0;

  /** @param total the amount of work; 0 if unknown. */
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
