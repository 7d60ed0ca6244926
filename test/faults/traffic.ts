import { InferenceError } from '../../src/client/inference-client.ts';
import { type Caller, DOORS, type Doors } from '../support/caller.ts';
import { loopInputs } from './loop-requests.ts';

export interface TrafficOptions {
  /** Iterations of each request's loop. */
  readonly iterations: number;
  /** Requests under way at a time, at least: as many through each door. */
  readonly inFlight: number;
}

/**
 * Callers of the loop model that each send one request after another, through all doors. Every request has a number of its own,
 * and is to be answered with it.
 */
export class Traffic implements AsyncDisposable {
  sent = 0;
  answered = 0;
  /** Requests without the right answer, and why. */
  readonly faults: string[] = [];
  readonly #callers: readonly Caller[];
  readonly #iterations: number;
  readonly #ended: Promise<unknown>;
  readonly #waiters = new Set<() => void>();
  #stopping = false;

  constructor(server: Doors, { iterations, inFlight }: TrafficOptions) {
    this.#iterations = iterations;
    // Calls share a connection; each stream has one request at a time, so that an answer too many shows.
    const lanes = Array.from({ length: Math.ceil(inFlight / DOORS.length) });
    this.#callers = DOORS.flatMap((door) => {
      if (door.name === 'ModelStreamInfer') return lanes.map(() => door.connect(server));
      const shared = door.connect(server);
      return lanes.map(() => shared);
    });
    this.#ended = Promise.all(this.#callers.map((caller) => this.#ask(caller)));
  }

  /** Resolves when `count` more requests have been answered. Rejects when one has not. */
  async more(count: number): Promise<void> {
    const goal = this.answered + count;
    while (this.answered < goal) {
      if (this.faults.length > 0) throw new Error(this.faults.join('\n'));
      await new Promise<void>((resolve) => this.#waiters.add(resolve));
    }
  }

  /** Sends no more, and resolves when all is answered. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#ended;
    for (const caller of this.#callers) caller.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #ask(caller: Caller): Promise<void> {
    while (!this.#stopping && this.faults.length === 0) {
      const number = ++this.sent;
      try {
        const result = await caller.infer('loop', loopInputs(number, this.#iterations));
        const { data } = result.output('output', 'FP32');
        if (data.length === 1 && data[0] === number) this.answered++;
        else this.#fail(number, new Error(`answered with ${data}`));
      } catch (error) {
        this.#fail(number, error);
      }
      for (const resolve of this.#waiters) resolve();
      this.#waiters.clear();
    }
  }

  #fail(number: number, error: unknown): void {
    this.faults.push(`request ${number}: ${error instanceof InferenceError ? `${error.status} ` : ''}${error}`);
  }
}
