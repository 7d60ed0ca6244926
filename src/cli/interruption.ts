import { constants } from 'node:os';

/** The first SIGINT or SIGTERM, as a signal to whoever works; a second one ends the process. */
export class Interruption implements Disposable {
  readonly #controller = new AbortController();
  readonly #heard: NodeJS.Signals[] = [];
  readonly #hear = (name: NodeJS.Signals): void => {
    if (this.#heard.push(name) > 1) process.exit(exitCodeOf(name));
    this.#controller.abort(new Error(`interrupted by ${name}`));
  };

  constructor() {
    process.on('SIGINT', this.#hear);
    process.on('SIGTERM', this.#hear);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** As shells tell it: 130 after Ctrl-C. `undefined` where nobody interrupted. */
  get exitCode(): number | undefined {
    const [name] = this.#heard;
    return name === undefined ? undefined : exitCodeOf(name);
  }

  [Symbol.dispose](): void {
    process.off('SIGINT', this.#hear);
    process.off('SIGTERM', this.#hear);
  }
}

function exitCodeOf(name: NodeJS.Signals): number {
  return 128 + constants.signals[name];
}
