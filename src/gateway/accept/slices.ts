/** Limits how long work may hold the event loop before other work runs. */
const SLICE_MS = 3;

/**
 * Long work on the event loop, in slices. Each turn of the loop runs one slice, whichever work it belongs to, so that many
 * large requests hold the loop no longer than one.
 */
export class Slices {
  readonly #waiting: (() => void)[] = [];
  #endsAt = 0;

  /** Whether the work has to wait for its next slice. */
  get isOver(): boolean {
    return performance.now() >= this.#endsAt;
  }

  /** Resolves when the next slice begins. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#waiting.push(resolve) === 1) setImmediate(() => this.#run());
    });
  }

  #run(): void {
    const [begin] = this.#waiting.splice(0, 1);
    this.#endsAt = performance.now() + SLICE_MS;
    begin?.();
    // Set here, it runs in the next turn of the loop.
    if (this.#waiting.length > 0) setImmediate(() => this.#run());
  }
}

/** Slices, or what passes them on. */
export type SliceSource = Pick<Slices, 'isOver' | 'next'>;

/** The slices of this process, which has one event loop. */
export const SLICES = new Slices();
