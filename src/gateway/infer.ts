/**
 * LIFE OF A REQUEST: each line is a stage, and each stage is a folder beside this file.
 *
 *   accept/ ──▶ admit/ ──▶ batch/ ──▶ dispatch/ ══ mailbox ══▶ worker (another process)
 *      ◀──────── encode/ ◀───────────────┘
 *
 * What it throws is an InferError: `accept/` makes the status.
 */

import type { InferParameters } from '../wire/infer-parameter.ts';
import type { InferRequest } from '../wire/infer-request.ts';
import type { WireLimits } from '../wire/limits.ts';
import type { Call } from './accept/call.ts';
import { type Admission, footprint } from './admit/admission.ts';
import { decode } from './admit/decode.ts';
import { checkParameters } from './admit/request-parameters.ts';
import { wantedOutputs } from './admit/requested-outputs.ts';
import { validate } from './admit/validate.ts';
import type { InferOutputs, RideTiming } from './batch/queued-request.ts';
import { encode, type TypedAnswers } from './encode/answer.ts';
import { InferError, REASONS } from './errors.ts';
import type { Model } from './model.ts';
import { axisOf } from './model.ts';
import type { ModelTable } from './model-table.ts';
import { diagnostics } from './ops/diagnostics.ts';

/** What a request meets on its way. */
export interface InferencePath {
  readonly limits: WireLimits;
  readonly models: ModelTable;
  readonly admission: Admission;
  readonly typedAnswers: TypedAnswers;
}

export interface Answer {
  /** The parts of an encoded ModelInferResponse. */
  readonly chunks: readonly Uint8Array[];
  readonly timing: RideTiming;
}

/** The request as far as it got, for its statistics and for an answer that must name it. */
export interface Progress {
  request?: InferRequest;
  model?: Model;
  rows: number;
}

/** Answers one ModelInferRequest. @throws InferError */
export async function infer(
  wire: Uint8Array,
  call: Call,
  path: InferencePath,
  options: { readonly progress?: Progress; readonly parameters?: InferParameters } = {},
): Promise<Answer> {
  const progress = options.progress ?? { rows: 0 };
  const startedAt = performance.now();
  try {
    const request = decode(wire, path.limits);
    progress.request = request;
    const model = path.models.find(request.modelName, request.modelVersion);
    progress.model = model;
    const { signature, scheduler } = model.ready;
    const timeoutMs = checkParameters(request.parameters);
    const wanted = wantedOutputs(request.outputs, signature, request.modelName);
    using _permit = path.admission.tryAcquire(footprint(wire, request));
    const tensors = validate(request, signature);
    progress.rows = tensors.rows;
    const { outputs, timing } = await scheduler.enqueue(tensors, call, timeoutMs);
    const chunks = encode(request, wanted, outputs, {
      model: model.ref,
      axis: axisOf(signature.batching),
      typedAnswers: path.typedAnswers,
      ...(options.parameters === undefined ? {} : { parameters: options.parameters }),
    });
    model.statistics.recordSuccess(tensors.rows, timing, performance.now() - startedAt);
    ended(wire, call, progress, { startedAt, timing, chunks });
    return { chunks, timing };
  } catch (thrown) {
    const error = InferError.from(thrown);
    progress.model?.statistics.recordFailure(performance.now() - startedAt);
    ended(wire, call, progress, { startedAt, error });
    throw error;
  }
}

interface End {
  readonly startedAt: number;
  readonly timing?: InferOutputs['timing'];
  readonly chunks?: readonly Uint8Array[];
  readonly error?: InferError;
}

function ended(wire: Uint8Array, call: Call, { request, model, rows }: Progress, end: End): void {
  if (!diagnostics.inferenceEnded.active) return;
  let responseBytes = 0;
  for (const chunk of end.chunks ?? []) responseBytes += chunk.byteLength;
  diagnostics.inferenceEnded.publish({
    call,
    model: model?.ref,
    requestId: request?.id ?? '',
    status: end.error === undefined ? 'OK' : REASONS[end.error.reason],
    reason: end.error?.reason,
    failure: end.error,
    rows,
    requestBytes: wire.byteLength,
    responseBytes,
    queueMs: end.timing?.queueMs,
    batchRows: end.timing?.batchRows ?? 0,
    durationMs: performance.now() - end.startedAt,
  });
}
