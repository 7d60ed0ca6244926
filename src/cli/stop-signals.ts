/** SIGTERM and SIGINT, as they reach a process that npm or npx has started. */

/**
 * On Ctrl-C the terminal signals npm and this process, and npm forwards the signal, directly or through its shell. Signals this
 * close together are one request.
 */
const FORWARDED_WITHIN_MS = 500;
const PARENT_CHECK_MS = 200;

/**
 * Reports each request to stop until it is disposed. Under npm the death of the parent is the first request: npm signals only
 * its shell, and a shell such as dash dies without passing the signal on.
 */
export class StopSignals implements Disposable {
  readonly #listener: (name: NodeJS.Signals) => void;
  readonly #underNpm = (process.env['npm_lifecycle_event'] ?? '') !== '';
  readonly #parent = process.ppid;
  readonly #parentCheck: NodeJS.Timeout | undefined;
  #lastAt = Number.NEGATIVE_INFINITY;

  constructor(listener: (name: NodeJS.Signals) => void) {
    this.#listener = listener;
    process.on('SIGINT', this.#receive);
    process.on('SIGTERM', this.#receive);
    if (this.#underNpm) this.#parentCheck = setInterval(() => this.#checkParent(), PARENT_CHECK_MS).unref();
  }

  readonly #receive = (name: NodeJS.Signals): void => {
    const now = performance.now();
    const isForwarded = this.#underNpm && now - this.#lastAt < FORWARDED_WITHIN_MS;
    this.#lastAt = now;
    if (!isForwarded) this.#listener(name);
  };

  #checkParent(): void {
    if (process.ppid === this.#parent) return;
    clearInterval(this.#parentCheck);
    // After a signal to the whole group, the parent is gone because of the same request.
    if (this.#lastAt === Number.NEGATIVE_INFINITY) this.#receive('SIGTERM');
  }

  [Symbol.dispose](): void {
    process.off('SIGINT', this.#receive);
    process.off('SIGTERM', this.#receive);
    clearInterval(this.#parentCheck);
  }
}
