/**
 * The requests that one HTTP call makes of models: each text is a request of its own, which shares batches with requests of others.
 *
 * ASK-1: a call that ends cancels all of its requests.
 * ASK-2: the first request that fails ends the others of its call.
 * ASK-3: at most `MAX_IN_FLIGHT` texts of a call are with models at a time: a long list does not fill a queue by itself.
 * ASK-4: a text that is refused for load waits for other texts of its call, and from then on fewer are in flight. The refusal ends the
 *     call only where none of them is: a call is never refused for its own texts.
 */

import { encodeBytesTensor } from '../../../../wire/bytes-tensor.ts';
import { NO_PARAMETERS } from '../../../../wire/infer-parameter.ts';
import { encodeInferRequest } from '../../../../wire/infer-request.ts';
import type { InferOutput } from '../../../../wire/infer-response.ts';
import type { Datatype, Shape } from '../../../../wire/tensor.ts';
import { InferError, type Reason } from '../../../errors.ts';
import type { Call, CancelReason, EndedStep } from '../../call.ts';
import { cancelled } from '../../cancellation.ts';
import { DerivedCall } from '../../derived-call.ts';
import type { InferenceApi } from '../../inference-service.ts';
import { SubRequest } from '../../sub-request.ts';

const MAX_IN_FLIGHT = 32;

export interface Tensor {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: Shape;
  readonly data: Uint8Array;
}

export function textTensor(name: string, text: string): Tensor {
  return { name, datatype: 'BYTES', shape: [1], data: encodeBytesTensor([Buffer.from(text)]) };
}

export interface Asked {
  readonly model: string;
  readonly version?: string;
  readonly inputs: readonly Tensor[];
  /** Outputs that are wanted. */
  readonly outputs: readonly string[];
  /** The model of the client's request, where this is a step of it. */
  readonly stepOf?: string;
}

export interface CountedAnswer {
  readonly outputs: ReadonlyMap<string, InferOutput>;
  readonly tokens: number | undefined;
}

/** Refusals that pass when there is less to do. */
const SHED: ReadonlySet<Reason> = new Set<Reason>(['queue_full', 'overloaded', 'cannot_meet_deadline']);

function isShed(error: unknown): boolean {
  return error instanceof InferError && SHED.has(error.reason);
}

/** A request of one text, or of one pair, which observes how many tokens the tokenizer of an ensemble makes of it. */
class TextRequest extends SubRequest {
  /** `undefined` where no step of the tokenizer was observed. */
  tokens: number | undefined;
  readonly #tokenizer: string | undefined;

  constructor(call: Call, tokenizer: string | undefined) {
    super(call);
    this.#tokenizer = tokenizer;
  }

  onStep({ model, outputs }: EndedStep): void {
    // Ids, mask and types of one text have one length.
    if (model === this.#tokenizer) this.tokens = outputs[0]?.shape.at(-1);
  }
}

export class TextRequests {
  readonly #api: InferenceApi;
  readonly #call: Call;
  /** In flight. */
  readonly #requests = new Set<Call>();

  constructor(api: InferenceApi, call: Call) {
    this.#api = api;
    this.#call = call;
    call.onCancel = (reason) => this.#cancel(reason);
  }

  /** Results of `work` for each item, in order. @throws InferError of the first that fails (ASK-2, ASK-3) */
  async each<Item, Result>(
    items: readonly Item[],
    work: (item: Item, index: number) => Promise<Result>,
  ): Promise<Result[]> {
    const results: Result[] = [];
    const waiting = items.map((item, index) => ({ item, index })).reverse();
    let workers = 0;
    const worker = async (): Promise<void> => {
      workers++;
      try {
        for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
          try {
            results[next.index] = await work(next.item, next.index);
          } catch (error) {
            if (workers === 1 || !isShed(error)) throw error;
            waiting.push(next);
            return;
          }
        }
      } finally {
        workers--;
      }
    };
    const all = Array.from({ length: Math.min(MAX_IN_FLIGHT, items.length) }, worker);
    try {
      await Promise.all(all);
    } catch (error) {
      waiting.length = 0;
      this.#cancel('client');
      await Promise.allSettled(all);
      throw error;
    }
    return results;
  }

  /** Asks a model. @returns the wanted outputs by name @throws InferError */
  async ask(asked: Asked): Promise<ReadonlyMap<string, InferOutput>> {
    return this.#send(asked, new SubRequest(this.#call));
  }

  /**
   * Asks a model about one text, or one pair.
   * @param tokenizer the model of its ensemble that makes tokens
   * @returns the wanted outputs by name, and the number of tokens where a tokenizer made some
   * @throws InferError
   */
  async askCounted(asked: Asked, tokenizer: string | undefined): Promise<CountedAnswer> {
    const request = new TextRequest(this.#call, tokenizer);
    const outputs = await this.#send(asked, request);
    return { outputs, tokens: request.tokens };
  }

  async #send(
    { model, version = '', inputs, outputs, stepOf }: Asked,
    request: SubRequest,
  ): Promise<ReadonlyMap<string, InferOutput>> {
    if (this.#call.cancelled) throw cancelled('client');
    const wire = encodeInferRequest({
      modelName: model,
      modelVersion: version,
      id: '',
      parameters: NO_PARAMETERS,
      inputs: inputs.map(({ name, datatype, shape }) => {
        return { name, datatype, shape, parameters: NO_PARAMETERS, contents: undefined };
      }),
      outputs: outputs.map((name) => ({ name, parameters: NO_PARAMETERS })),
      rawInputContents: inputs.map(({ data }) => data),
    });
    // A step of a request is not spread over versions as the request is.
    const call = stepOf === undefined ? request : new DerivedCall(request, request.deadline, stepOf);
    this.#requests.add(call);
    try {
      const replied = this.#api.infer(Buffer.concat(wire), call);
      if (replied instanceof InferError) throw replied;
      const { response } = await replied;
      return new Map(response.outputs.map((output) => [output.name, output]));
    } finally {
      this.#requests.delete(call);
    }
  }

  #cancel(reason: CancelReason): void {
    for (const { onCancel } of [...this.#requests]) onCancel?.(reason);
  }
}
