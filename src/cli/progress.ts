/** Below this, the answer is there before anyone reads a count. */
const MIN_TOTAL = 20;

/** Counts finished work on stderr, if stderr is a terminal and there is much to do. */
export class Progress {
  readonly #total: number;
  readonly #shown: boolean;
  #done = 0;

  constructor(total: number) {
    this.#total = total;
    this.#shown = process.stderr.isTTY === true && total >= MIN_TOTAL;
  }

  tick(): void {
    this.#done += 1;
    if (!this.#shown) return;
    const end = this.#done === this.#total ? '\n' : '';
    process.stderr.write(`\r${this.#done}/${this.#total}${end}`);
  }
}
