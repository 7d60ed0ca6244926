/**
 * Copies of a share of a model's requests go to another version of it; the answers are compared, counted and thrown away.
 *
 * SHADOW-1: the client's answer is there before its copy is looked at, and nothing of the copy reaches it: not a failure, not a wait.
 * SHADOW-2: what copies hold is bounded: their bytes over the whole server, their number for each shadow.
 * SHADOW-3: a copy is the first thing to be shed. It is sent only while less than half of the server's bytes are taken, nothing waits
 *     for the version that answered, and nothing but copies waits for the shadow.
 * SHADOW-4: a copy has a limit of its own, not the client's deadline, and counts in no statistics of requests.
 * SHADOW-5: answers are compared one after another, in slices: no turn of the event loop is long.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { InferRequest } from '../../wire/infer-request.ts';
import { isLanded, releaseAll, type TensorBytes } from '../../wire/tensor-bytes.ts';
import { Admission, footprint, type Permit } from '../admit/admission.ts';
import { isLarge } from '../admit/large-inputs.ts';
import { readInputs } from '../admit/large-request.ts';
import type { RequestTerms } from '../admit/request-terms.ts';
import { validate } from '../admit/validate.ts';
import { byteLengthOf } from '../batch/output-limit.ts';
import type { OutputTensor, RequestTiming } from '../batch/queued-request.ts';
import { InferError } from '../errors.ts';
import type { InferenceRecord } from '../inference-record.ts';
import type { ModelTable } from '../models/model-table.ts';
import type { Servable } from '../models/servable.ts';
import { diagnostics, type ShadowEnded, type ShedCause } from '../ops/diagnostics.ts';
import { type Agreement, Comparison } from './agreement.ts';
import { ShadowCall } from './shadow-call.ts';
import { ShadowLedger } from './shadow-ledger.ts';

/** Bytes of requests and answers that copies hold, over all models. */
const MAX_BYTES = 64 * 1024 * 1024;
/** Copies that one shadow has at the same time, waiting, running or being compared. */
const MAX_COPIES = 16;
/** Time limit of a copy, in milliseconds. */
const LIMIT_MS = 10_000;

/** A request that was answered: of its call nothing but the path is kept. */
interface Original {
  readonly path: string;
  readonly request: InferRequest<TensorBytes>;
  readonly model: Servable;
  readonly outputs: readonly OutputTensor[];
  readonly timing: RequestTiming;
}

/** Which versions a copy is about. */
type Pair = Pick<ShadowEnded, 'model' | 'primary' | 'shadow'>;

export interface ShadowOptions {
  /** By which requests are sampled. */
  readonly random?: () => number;
  readonly maxBytes?: number;
}

export class Shadows {
  readonly ledger = new ShadowLedger();
  readonly #models: ModelTable;
  readonly #admission: Pick<Admission, 'isBusy'>;
  readonly #random: () => number;
  readonly #room: Admission;
  readonly #copies = new Map<Servable, Set<ShadowCall>>();
  #comparing: Promise<unknown> = Promise.resolve();
  #ended = false;

  /** @param admission of the server's requests; copies take nothing of it. */
  constructor(models: ModelTable, admission: Pick<Admission, 'isBusy'>, options: ShadowOptions = {}) {
    this.#models = models;
    this.#admission = admission;
    this.#random = options.random ?? Math.random;
    this.#room = new Admission(options.maxBytes ?? MAX_BYTES);
  }

  /**
   * To be called with every request when its outputs are there. Returns at once, and never throws.
   * @returns that the request is held: a copy of it is to be sent.
   */
  mirror(
    { model, request, bytes, call: { path } }: InferenceRecord,
    outputs: readonly OutputTensor[],
    timing: RequestTiming,
  ): boolean {
    if (model === undefined || request === undefined || this.#ended) return false;
    const plan = this.#models.trafficOf(model.ref.name)?.plan.shadow;
    if (plan === undefined || plan.version === model.ref.version || this.#random() >= plan.share) return false;
    const pair = { model: model.ref.name, primary: model.ref.version, shadow: plan.version };
    const permit = this.#hold(footprint(bytes, request), outputs);
    if (permit === undefined) {
      this.#report(pair, { kind: 'shed', cause: 'no_room' });
      return false;
    }
    const landed = request.rawInputContents.filter(isLanded);
    for (const bytes of landed) bytes.retain();
    // SHADOW-1: by then the answer is written.
    setImmediate(() => {
      const original = { path, request, model, outputs: outputs.map(alone), timing };
      void this.#follow(pair, original, permit).finally(() => releaseAll(landed));
    });
    return true;
  }

  /** Stops copying, and drops the copies under way. */
  end(): void {
    this.#ended = true;
    for (const calls of this.#copies.values()) for (const call of calls) call.cancel();
  }

  /** Room for a copy's request and for both answers, which are taken to be alike. */
  #hold(requestBytes: number, outputs: readonly OutputTensor[]): Permit | undefined {
    try {
      return this.#room.tryHold(outputs.reduce((sum, { data }) => sum + 2 * data.byteLength, requestBytes));
    } catch {
      return undefined;
    }
  }

  /** One copy, from its shadow to its comparison. Never rejects. */
  async #follow(pair: Pair, original: Original, permit: Permit): Promise<void> {
    try {
      if (this.#ended) return;
      const shadow = this.#models.versionsOf(pair.model).find(({ ref }) => ref.version === pair.shadow);
      const cause = this.#obstacle(original.model, shadow);
      if (cause !== undefined || shadow === undefined)
        this.#report(pair, { kind: 'shed', cause: cause ?? 'not_ready' });
      else this.#report(pair, await this.#run(shadow, original));
    } catch (thrown) {
      if (!this.#ended) this.#report(pair, { kind: 'failed', reason: InferError.from(thrown).reason });
    } finally {
      permit[Symbol.dispose]();
    }
  }

  /** SHADOW-3 */
  #obstacle(primary: Servable, shadow: Servable | undefined): ShedCause | undefined {
    if (shadow?.state !== 'READY') return 'not_ready';
    if (shadow.breaker === 'open') return 'breaker_open';
    if (this.#admission.isBusy) return 'server_busy';
    if (primary.queuedRequests > 0) return 'primary_busy';
    const copies = this.#copies.get(shadow)?.size ?? 0;
    return copies >= MAX_COPIES || shadow.queuedRequests > copies ? 'shadow_busy' : undefined;
  }

  async #run(shadow: Servable, { path, request, outputs, timing }: Original): Promise<ShadowEnded['outcome']> {
    const copy = new ShadowCall(path);
    const copies = this.#copiesOf(shadow);
    copies.add(copy);
    try {
      const values = isLarge(request) ? await readInputs(request, copy, shadow.ready.signature) : undefined;
      const { signature, batcher } = shadow.ready;
      const wanted = outputs.map((spec) => ({ spec }));
      const answer = await batcher.enqueue(validate(request, signature, values), copy, termsOf(shadow), wanted);
      const agreement = await this.#compareInRoom(outputs, answer.outputs);
      return { kind: 'compared', ...agreement, primaryMs: sumOf(timing), shadowMs: sumOf(answer.timing) };
    } finally {
      copies.delete(copy);
      if (copies.size === 0) this.#copies.delete(shadow);
    }
  }

  #copiesOf(shadow: Servable): Set<ShadowCall> {
    const found = this.#copies.get(shadow);
    if (found !== undefined) return found;
    const made = new Set<ShadowCall>();
    this.#copies.set(shadow, made);
    return made;
  }

  /** Takes room for what the shadow's answer has more than the original's, which it was taken to be like. */
  async #compareInRoom(primary: readonly OutputTensor[], shadow: readonly OutputTensor[]): Promise<Agreement> {
    const permit = this.#room.tryHold(Math.max(0, byteLengthOf(shadow) - byteLengthOf(primary)));
    try {
      return await this.#compare(primary, shadow);
    } finally {
      permit[Symbol.dispose]();
    }
  }

  /** SHADOW-5 */
  #compare(primary: readonly OutputTensor[], shadow: readonly OutputTensor[]): Promise<Agreement> {
    const compared = this.#comparing.then(async () => {
      const comparison = new Comparison(primary, shadow);
      while (!comparison.advance()) await nextTurn();
      return comparison.agreement;
    });
    this.#comparing = compared.catch(() => {});
    return compared;
  }

  #report(pair: Pair, outcome: ShadowEnded['outcome']): void {
    const event = { ...pair, outcome };
    this.ledger.record(event);
    diagnostics.shadowEnded.publish(event);
  }
}

/** SHADOW-4, and the last of the shadow's levels, where it has any. */
function termsOf({ config }: Servable): RequestTerms {
  return { timeoutMs: LIMIT_MS, priority: config.dynamic_batching.priority_levels, sequence: undefined };
}

/** Copies an output, so that it does not keep its whole batch in memory. */
function alone(output: OutputTensor): OutputTensor {
  const { data } = output;
  return data.byteLength * 2 >= data.buffer.byteLength ? output : { ...output, data: data.slice() };
}

function sumOf({ queueMs, inputMs, computeMs, outputMs }: RequestTiming): number {
  return queueMs + inputMs + computeMs + outputMs;
}
