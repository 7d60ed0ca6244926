import { InferenceClient, tensor } from '../../src/client/inference-client.ts';

/** Callers of the model `m`, an offset model, that each send one request after another and want an answer of a version to be that version's. */
export class RolloutLoad implements AsyncDisposable {
  /** Answers by version. */
  readonly answers: Record<string, number> = {};
  /** Calls that failed, or were answered wrongly. */
  readonly faults: string[] = [];
  readonly #client: InferenceClient;
  readonly #offsets: Readonly<Record<string, number>>;
  readonly #callers: Promise<void>[];
  #stopping = false;

  /** @param offsets by version: what each adds to the first column. */
  constructor(target: string, offsets: Readonly<Record<string, number>>, inFlight = 4) {
    this.#client = new InferenceClient(target, { deadlineMs: 60_000 });
    this.#offsets = offsets;
    this.#callers = Array.from({ length: inFlight }, () => this.#call());
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#callers);
    this.#client.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #call(): Promise<void> {
    for (let count = 0; !this.#stopping; count++) {
      // The largest is in the second column or the third, whatever a small offset adds to the first.
      const row = [count % 5, 10 + (count % 3), 11];
      try {
        const result = await this.#client.infer('m', { input: tensor.fp32(row, [1, 3]) });
        const version = result.modelVersion;
        const [first = Number.NaN] = result.output('output', 'FP32').data;
        const wanted = (row[0] ?? 0) + (this.#offsets[version] ?? Number.NaN);
        if (Math.abs(first - wanted) > 1e-3) this.faults.push(`version ${version} answered ${first}, not ${wanted}`);
        this.answers[version] = (this.answers[version] ?? 0) + 1;
      } catch (error) {
        this.faults.push(String(error));
      }
    }
  }
}
