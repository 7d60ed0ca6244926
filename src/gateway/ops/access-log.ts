/**
 * The access log: one line for each call, and for each message of a stream. Every field of a line is named here: nothing of a
 * request but its names, sizes, times and outcome gets into it.
 *
 * ACCESS-1: at most 100 lines a second are about calls that failed; the others are counted, and the count is logged.
 * ACCESS-2: a call has at most one line, and each message of a stream as well.
 */

import { boundedText } from '../errors.ts';
import { addressOf, identityOf, wholeCallOf } from './caller.ts';
import { type CallEnded, diagnostics, type InferenceEnded } from './diagnostics.ts';
import type { LogLines } from './log-lines.ts';
import type { ObservedCall } from './observed-call.ts';
import type { Settings } from './settings.ts';
import { spanContextOf } from './traces.ts';

const MODEL_INFER = '/inference.GRPCInferenceService/ModelInfer';
const MAX_FAILURES_PER_SECOND = 100;
/** A name that the mesh gives to a request, by which its own access log has it. */
const REQUEST_ID_KEY = 'x-request-id';
const MAX_REQUEST_ID = 128;

/** The fields that both kinds of ends have. */
type End = Pick<CallEnded, 'call' | 'status' | 'reason' | 'durationMs'>;

/**
 * Logs calls until the returned function is called.
 * @param every `errors`: calls that fail. A number: also one of so many calls that are answered.
 */
export function startAccessLog(lines: LogLines, every: Exclude<Settings['accessLog'], 'off'>): () => void {
  const log = new AccessLog(lines, every === 'errors' ? 0 : 1 / every);
  const unsubscribe = [
    diagnostics.inferenceEnded.subscribe((event) => log.inferenceEnded(event)),
    diagnostics.callEnded.subscribe((event) => log.callEnded(event)),
  ];
  return () => {
    for (const stop of unsubscribe) stop();
    log.end();
  };
}

class AccessLog {
  readonly #lines: LogLines;
  /** Share of the answered calls that are logged. */
  readonly #share: number;
  /** Inferences of unary calls that are to be logged when the call ends. */
  readonly #inferences = new WeakMap<ObservedCall, InferenceEnded>();
  /** The second, on the clock of `performance.now()`, and failures in it. */
  #second = 0;
  #failures = 0;
  #dropped = 0;

  constructor(lines: LogLines, share: number) {
    this.#lines = lines;
    this.#share = share;
  }

  inferenceEnded(event: InferenceEnded): void {
    const { call, status } = event;
    // Steps of an ensemble and parts of a split request belong to the client's call.
    if (call.step !== undefined) return;
    if (call.stream !== undefined) {
      if (status === 'OK' ? this.#isSampled() : this.#mayFail()) this.#write(event, event);
    } else if (status !== 'OK' || this.#isSampled()) this.#inferences.set(call, event);
  }

  callEnded(event: CallEnded): void {
    const { call, status } = event;
    const inference = this.#inferences.get(call);
    if (status !== 'OK') {
      if (this.#mayFail()) this.#write(event, inference);
    } else if (inference !== undefined || (call.path !== MODEL_INFER && this.#isSampled())) {
      this.#write(event, inference);
    }
  }

  end(): void {
    this.#reportDropped();
    this.#lines.flush();
  }

  #isSampled(): boolean {
    return this.#share >= 1 || Math.random() < this.#share;
  }

  /** ACCESS-1. */
  #mayFail(): boolean {
    const second = Math.floor(performance.now() / 1_000);
    if (second !== this.#second) {
      this.#reportDropped();
      this.#second = second;
      this.#failures = 0;
    }
    if (this.#failures++ < MAX_FAILURES_PER_SECOND) return true;
    this.#dropped++;
    return false;
  }

  #reportDropped(): void {
    if (this.#dropped === 0) return;
    this.#lines.soon({ log: 'access', dropped: this.#dropped }, `${this.#dropped} more calls failed in a second`);
    this.#dropped = 0;
  }

  #write(end: End, inference: InferenceEnded | undefined): void {
    const { call, status, reason, durationMs } = end;
    const whole = wholeCallOf(call);
    const method = boundedText(call.path.slice(1));
    const span = spanContextOf(call);
    const { deadline = Number.POSITIVE_INFINITY } = call;
    const id = call.get(REQUEST_ID_KEY);
    const fields = {
      log: 'access',
      via: whole.via ?? 'grpc',
      method,
      status,
      reason,
      client: identityOf(whole),
      address: addressOf(whole),
      x_request_id: typeof id === 'string' ? boundedText(id.slice(0, MAX_REQUEST_ID)) : undefined,
      ...(inference !== undefined && inferenceFields(inference)),
      duration_ms: rounded(durationMs),
      deadline_left_ms: deadline === Number.POSITIVE_INFINITY ? undefined : rounded(deadline - performance.now()),
      trace_id: span?.traceId,
      span_id: span?.spanId,
    };
    this.#lines.soon(fields, `${method} ${status}`);
  }
}

function inferenceFields(event: InferenceEnded): object {
  const { model, requestId, rows, requestBytes, responseBytes, queueMs, timing, batchRows, cache } = event;
  return {
    model: model?.name,
    version: model?.version,
    request_id: requestId === '' ? undefined : boundedText(requestId.slice(0, MAX_REQUEST_ID)),
    rows,
    request_bytes: requestBytes,
    response_bytes: responseBytes,
    ...(queueMs !== undefined && { queue_ms: rounded(queueMs), batch_rows: batchRows }),
    ...(timing !== undefined && {
      input_ms: rounded(timing.inputMs),
      compute_ms: rounded(timing.computeMs),
      output_ms: rounded(timing.outputMs),
    }),
    cache,
  };
}

/** To the microsecond. */
function rounded(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}
