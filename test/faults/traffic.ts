import { InferenceClient, InferenceError } from '../../src/client/inference-client.ts';
import { loopInputs } from './loop-requests.ts';

export interface TrafficOptions {
  /** Of each request. */
  readonly iterations: number;
  /** Requests under way at a time: half of them calls of their own, half on streams. */
  readonly inFlight: number;
}

/**
 * Callers of the loop model that each send one request after another. Every request has a number of its own, and is to be
 * answered with it; on streams an answer that nobody waits for shows.
 */
export class Traffic implements AsyncDisposable {
  sent = 0;
  answered = 0;
  /** What was not answered with its number, and why. */
  readonly faults: string[] = [];
  readonly #client: InferenceClient;
  readonly #iterations: number;
  readonly #callers: Promise<void>[];
  readonly #waiters = new Set<() => void>();
  #stopping = false;

  constructor(target: string, { iterations, inFlight }: TrafficOptions) {
    this.#client = new InferenceClient(target, { deadlineMs: 60_000 });
    this.#iterations = iterations;
    this.#callers = Array.from({ length: inFlight }, (_, index) => (index % 2 === 0 ? this.#call() : this.#stream()));
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
    await Promise.all(this.#callers);
    this.#client.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #call(): Promise<void> {
    while (!this.#stopping) {
      const number = ++this.sent;
      try {
        const result = await this.#client.infer('loop', loopInputs(number, this.#iterations));
        this.#check(number, result.output('output', 'FP32').data);
      } catch (error) {
        this.#fail(number, error);
      }
    }
  }

  /** One request at a time on a stream: the next goes out when the last is answered. */
  async #stream(): Promise<void> {
    let answered = Promise.withResolvers<void>();
    let number = 0;
    const requests = async function* (this: Traffic) {
      while (!this.#stopping) {
        number = ++this.sent;
        yield { model: 'loop', id: String(number), inputs: loopInputs(number, this.#iterations) };
        await answered.promise;
        answered = Promise.withResolvers();
      }
      number = 0;
    }.bind(this);
    try {
      for await (const answer of this.#client.stream(requests())) {
        if (answer.id !== String(number)) this.#fail(number, new Error(`answered with the id ${answer.id}`));
        else if (answer.kind === 'error') this.#fail(number, answer.error);
        else this.#check(number, answer.result.output('output', 'FP32').data);
        answered.resolve();
      }
    } catch (error) {
      this.#fail(number, error);
    }
  }

  #check(number: number, data: Float32Array): void {
    if (data.length !== 1 || data[0] !== number) this.#fail(number, new Error(`answered with ${data}`));
    else this.answered++;
    this.#tell();
  }

  #fail(number: number, error: unknown): void {
    this.faults.push(`request ${number}: ${error instanceof InferenceError ? `${error.status} ` : ''}${error}`);
    this.#tell();
  }

  #tell(): void {
    for (const resolve of this.#waiters) resolve();
    this.#waiters.clear();
  }
}
