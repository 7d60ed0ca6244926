/** A small load: callers who each ask for one image after another, and note which version answered, and whether one did. */

import { setTimeout as sleep } from 'node:timers/promises';
import { type AnyTensor, InferenceClient } from '../../src/client/inference-client.ts';

/** Between two requests of a caller, in milliseconds. */
const PAUSE_MS = 10;

export class Callers {
  /** Answers by version since they were last counted. */
  #answers = new Map<string, number>();
  #failures: string[] = [];
  readonly #client: InferenceClient;
  readonly #callers: readonly Promise<void>[];
  #stopping = false;

  /** @param images of one row each, asked for in turn. */
  constructor(address: string, model: string, input: string, images: readonly AnyTensor[], callers = 4) {
    this.#client = new InferenceClient(address, { deadlineMs: 30_000 });
    const call = async (first: number): Promise<void> => {
      for (let index = first; !this.#stopping; index++) {
        const image = images[index % images.length];
        if (image === undefined) return;
        try {
          const { modelVersion } = await this.#client.infer(model, { [input]: image });
          this.#answers.set(modelVersion, (this.#answers.get(modelVersion) ?? 0) + 1);
        } catch (error) {
          this.#failures.push(error instanceof Error ? error.message : String(error));
        }
        await sleep(PAUSE_MS);
      }
    };
    this.#callers = Array.from({ length: callers }, (_, caller) => call(caller * 7));
  }

  /** What happened since this was last asked. */
  count(): { readonly answers: ReadonlyMap<string, number>; readonly failures: readonly string[] } {
    const counted = { answers: this.#answers, failures: this.#failures };
    this.#answers = new Map();
    this.#failures = [];
    return counted;
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#callers);
    this.#client.close();
  }
}
