/** Lets one piece of asynchronous work run at a time, in the order of arrival. */

export class Mutex {
  #last: Promise<void> | undefined;

  /** Resolves when the work that has come so far is done. */
  get free(): Promise<void> {
    return this.#last ?? Promise.resolve();
  }

  get isFree(): boolean {
    return this.#last === undefined;
  }

  /** Starts `work` after the work before it; synchronously if there is none. */
  run<T>(work: () => Promise<T>): Promise<T> {
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
