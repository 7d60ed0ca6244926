/**
 * Refusals before a request is decoded. Under overload most requests end so, and what they cost is taken from the others.
 *
 * EARLY-1: a request that is refused by its head would also be refused by its queue, if the model can run it.
 * EARLY-2: while nothing is refused, no head is read twice.
 */

import { peekInferHead } from '../../wire/infer-request.ts';
import type { WireLimits } from '../../wire/limits.ts';
import type { Call } from '../accept/call.ts';
import { InferError, type Reason } from '../errors.ts';
import type { RateLimit } from './rate-limit.ts';
import { readTerms } from './request-parameters.ts';
import type { RequestTerms } from './request-terms.ts';

/** A model version, as far as it is asked before a request is decoded. */
interface Refusing {
  readonly ready: { readonly batcher: { refusal?(call: Call, terms: RequestTerms): InferError | undefined } };
}

/** An arrived request and its record. */
export interface Arrival<Model> {
  readonly wire: Uint8Array;
  readonly call: Call;
  readonly startedAt: number;
  model: Model | undefined;
  requestId: string;
  failed(thrown: unknown): InferError;
}

/** Where the version that a request asks for is found. */
export interface Versions<Model> {
  find(name: string, version: string, call: Call): Model;
}

/** Dependencies of the checks before a request is decoded. */
export interface Entrance<Model> {
  /** The limits of a message, as the models that are loaded now need them. */
  readonly limits: { readonly current: WireLimits };
  readonly models: Versions<Model>;
  /** `undefined` if tenants are not configured. */
  readonly rateLimit?: RateLimit | undefined;
  readonly pressure: Pressure;
  /** `undefined`: a model that is not loaded is not loaded for a request. */
  readonly onDemand?:
    | {
        isCold(name: string): boolean;
        activate(name: string, call: Call, bytes: number): Promise<void>;
      }
    | undefined;
}

/** Reasons of a queue that do not depend on the contents of a request. */
const OVERLOAD: ReadonlySet<Reason> = new Set<Reason>([
  'queue_full',
  'cannot_meet_deadline',
  'deadline_too_short',
  'overloaded',
  'breaker_open',
  'runner_lost',
]);
/** After the last refusal heads are read for so long. An overload refuses far more often. */
const MEMORY_MS = 1_000;

/** Whether requests are refused at the moment. */
export class Pressure {
  #refusedAt = Number.NEGATIVE_INFINITY;

  note(reason: Reason, nowMs: number): void {
    if (OVERLOAD.has(reason)) this.#refusedAt = nowMs;
  }

  isHigh(nowMs: number): boolean {
    return nowMs - this.#refusedAt < MEMORY_MS;
  }
}

/** Why a request is refused before it is decoded, if so. Ends its record then. */
export function refuseEarly<Model extends Refusing>(
  record: Arrival<Model>,
  entrance: Entrance<Model>,
): InferError | undefined {
  const refusal =
    entrance.rateLimit?.charge(record.call, record.startedAt) ??
    (entrance.pressure.isHigh(record.startedAt) ? refusalByHead(record, entrance) : undefined);
  return refusal === undefined ? undefined : record.failed(refusal);
}

function refusalByHead<Model extends Refusing>(
  record: Arrival<Model>,
  { limits, models, onDemand }: Entrance<Model>,
): InferError | undefined {
  const head = peekInferHead(record.wire, limits.current);
  if (head === undefined || onDemand?.isCold(head.modelName)) return undefined;
  try {
    const model = models.find(head.modelName, head.modelVersion, record.call);
    const refusal = model.ready.batcher.refusal?.(record.call, readTerms(head.parameters));
    if (refusal === undefined) return undefined;
    record.model = model;
    record.requestId = head.id;
    return refusal;
  } catch (thrown) {
    // The whole path says the same, unless something that comes first is wrong as well.
    if (thrown instanceof InferError) return undefined;
    throw thrown;
  }
}
