import { constants } from 'node:os';
import { StopSignals } from './stop-signals.ts';

/** The first request to stop aborts `signal`; a second one ends the process. */
export class Interruption implements Disposable {
  readonly #end: (code: number) => void;
  readonly #controller = new AbortController();
  #first: NodeJS.Signals | undefined;
  readonly #signals = new StopSignals((name) => {
    if (this.#first !== undefined) return this.#end(exitCodeOf(name));
    this.#first = name;
    this.#controller.abort(new Error(`interrupted by ${name}`));
  });

  /** @param end the process with an exit code; at once by default. */
  constructor(end: (code: number) => void = (code) => process.exit(code)) {
    this.#end = end;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** As shells report it: 130 after Ctrl-C. `undefined` without an interruption. */
  get exitCode(): number | undefined {
    return this.#first === undefined ? undefined : exitCodeOf(this.#first);
  }

  [Symbol.dispose](): void {
    this.#signals[Symbol.dispose]();
  }
}

function exitCodeOf(name: NodeJS.Signals): number {
  return 128 + constants.signals[name];
}
