/**
 * The consequences of the end of a batch: answers, errors, or further batches of the same requests.
 *
 * END-1: each request of the batch is settled, or is in exactly one of the further batches.
 * END-2: a batch whose runner died runs once more, request by request and with nothing beside it, so that a second death names
 *        its culprit and hurts no other request.
 * END-3: a request whose own run failed is not run again; a batch that caused nothing runs again unchanged. The requests of an
 *        abandoned batch are settled, which is why it was abandoned.
 */

import { describeOutputs } from '../../wire/tensor.ts';
import type { RunAnswer, RunOutcome } from '../../worker/run-outcome.ts';
import type { BatchAxis } from '../admit/infer-tensors.ts';
import { InferError } from '../errors.ts';
import type { ModelRef, OutcomeLabel } from '../ops/diagnostics.ts';
import type { LengthAxis } from '../repository/signature/length-axis.ts';
import { type Batch, type OutputAxes, scatter } from './batch.ts';
import { byteLengthOf, sizeOf } from './output-limit.ts';
import type { Prepared } from './prepared-batches.ts';
import type { OutputTensor } from './queued-request.ts';
import {
  breakerOpen,
  endedMidway,
  killedTwice,
  modelFailed,
  noRoom,
  outOfMemory,
  outputsTooLarge,
  overran,
  refused,
} from './refusals.ts';
import { answer, fail, failAll } from './settlement.ts';

export interface BatchEndOptions {
  readonly model: ModelRef;
  readonly axis: BatchAxis;
  /** The outputs whose rows do not lie on axis 0. */
  readonly outputAxes?: OutputAxes;
  /** Absent where requests of a batch are of equal length. */
  readonly lengths?: LengthAxis | undefined;
  /** Bytes that the outputs of one request may have. */
  readonly maxOutputBytes: number;
}

/** Settles the requests of a batch, and returns the batches that its other requests run in. */
export function endBatch(batch: Batch, outcome: RunOutcome, options: BatchEndOptions): readonly Prepared[] {
  switch (outcome.kind) {
    case 'ok':
      answerAll(batch, outcome, options);
      return [];
    case 'refused':
      return blame(batch, refused(outcome.message));
    case 'threw':
      if (outcome.reason === undefined) return blame(batch, modelFailed(outcome.message));
      // All of its halves would meet the same overload.
      failAll(batch, modelFailed(outcome.message, outcome.reason));
      return [];
    case 'no_room':
      return blame(batch, noRoom(outcome));
    case 'outputs_too_large':
      return blame(batch, outputsTooLarge(outcome.message, options.maxOutputBytes));
    case 'out_of_memory':
      return outcome.by === 'batch' ? blame(batch, outOfMemory(outcome)) : replay(batch, outOfMemory(outcome));
    case 'crashed':
    case 'timed_out':
      return replay(batch, killedTwice(outcome.cause));
    case 'overran':
      return oneByOne(batch, overran(outcome.maxMs));
    case 'abandoned':
      return [];
    case 'interrupted':
      if (batch.requests.some(({ hasAnswers }) => hasAnswers)) return replay(batch, endedMidway());
      return [{ requests: batch.requests, exclusive: batch.requests.some(({ suspect }) => suspect) }];
    case 'rejected':
      failAll(batch, breakerOpen(options.model, outcome.retryAfterMs));
      return [];
    case 'failed':
      failAll(batch, new InferError('internal', 'internal error', { cause: outcome.error }));
      return [];
  }
}

/** The outcome as metrics and traces name it. */
export function labelOf({ kind }: RunOutcome): OutcomeLabel {
  switch (kind) {
    case 'rejected':
    case 'no_room':
      return 'failed';
    case 'outputs_too_large':
    case 'out_of_memory':
    case 'threw':
      return 'refused';
    default:
      return kind;
  }
}

function answerAll(
  batch: Batch,
  { outputs, memory, inputMs, computeMs, outputMs }: RunAnswer,
  { axis, outputAxes, lengths, maxOutputBytes }: BatchEndOptions,
): void {
  let parts: OutputTensor[][];
  try {
    parts = scatter(batch, outputs, axis, outputAxes, lengths);
  } catch (error) {
    failAll(batch, new InferError('internal', 'internal error', { cause: error }));
    return;
  }
  memory?.shareAmong(batch.requests.length);
  const mayExceed = byteLengthOf(outputs) > maxOutputBytes;
  for (const [index, request] of batch.requests.entries()) {
    const own = parts[index] ?? [];
    if (mayExceed && byteLengthOf(own) > maxOutputBytes) {
      fail(request, outputsTooLarge(describeOutputs(own.map(sizeOf)), maxOutputBytes));
      memory?.giveBack();
      continue;
    }
    const queueMs = request.sentAtMs - request.arrivalMs;
    const timing = { queueMs, inputMs, computeMs, outputMs, batchRows: batch.rows };
    answer(request, { outputs: own, memory, timing, requestIsSpent: true });
  }
}

/** Halves a batch that cannot be run, until the request is found that is to blame. */
function blame(batch: Batch, error: InferError): Prepared[] {
  if (batch.requests.length <= 1) {
    failAll(batch, error);
    return [];
  }
  const middle = Math.ceil(batch.requests.length / 2);
  return [
    { requests: batch.requests.slice(0, middle), exclusive: false },
    { requests: batch.requests.slice(middle), exclusive: false },
  ];
}

/** Any single request of the batch may run too long, or only all of them together. */
function oneByOne(batch: Batch, error: InferError): Prepared[] {
  if (batch.requests.length > 1) return batch.requests.map((request) => ({ requests: [request], exclusive: false }));
  failAll(batch, error);
  return [];
}

/** @param error for a request that is replayed already. One that was given answers is not replayed: they would come twice. */
function replay(batch: Batch, error: InferError): Prepared[] {
  const again: Prepared[] = [];
  for (const request of batch.requests) {
    if (request.settled) continue;
    if (request.hasAnswers) {
      fail(request, endedMidway());
      continue;
    }
    if (request.suspect) {
      fail(request, error);
      continue;
    }
    request.suspect = true;
    again.push({ requests: [request], exclusive: true });
  }
  return again;
}
