/** Work that is done one piece after another, in the order in which it came. */

export class Turns {
  #last: Promise<void> | undefined;

  /** Resolves when all the work that came so far is done. */
  get quiet(): Promise<void> {
    return this.#last ?? Promise.resolve();
  }

  get isQuiet(): boolean {
    return this.#last === undefined;
  }

  /** Starts `work` when all before it is done: at once, before this returns, where there is none. */
  take<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last === undefined ? work() : this.#last.then(work);
    const last = done.then(
      () => {},
      () => {},
    );
    this.#last = last;
    void last.then(() => {
      if (this.#last === last) this.#last = undefined;
    });
    return done;
  }
}
