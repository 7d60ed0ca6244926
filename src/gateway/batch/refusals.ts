/** The errors that end a request in the queue or in a batch, each with its text and its pushback. */

import type { PassedOn, RunOutcome } from '../../worker/run-outcome.ts';
import { InferError, withJitter } from '../errors.ts';
import type { ModelRef } from '../ops/diagnostics.ts';
import type { QueuePolicies } from './queue-policy.ts';

/** Where the directory of the mailboxes is full, by batches that run or by files of others. */
const NO_ROOM_PUSHBACK_MS = 200;

/** The wait of the inner model is not known here. */
const PASSED_ON_PUSHBACK_MS = 50;

/** No server could answer in time. */
export function deadlineTooShort(fastestMs: number, leftMs: number): InferError {
  const text = `cannot be answered in time: the fastest run so far took ${format(fastestMs)}, ${format(leftMs)} are left`;
  return new InferError('deadline_too_short', text, { pushback: 'never' });
}

export function cannotMeetDeadline(waitMs: number, aloneMs: number, leftMs: number): InferError {
  const text = unmetText(rough(waitMs), rough(aloneMs), rough(leftMs));
  return new InferError('cannot_meet_deadline', text, { pushback: withJitter(waitMs) });
}

const unmetText = remembered((waitMs, aloneMs, leftMs) => {
  return `cannot be answered in time: about ${format(waitMs)} of work go before it and it needs ${format(aloneMs)}, ${format(leftMs)} are left`;
});

/** For a request whose caller named no deadline. */
export function overloaded(waitMs: number, objectiveMs: number): InferError {
  const text = overloadText(rough(waitMs), rough(objectiveMs), 0);
  return new InferError('overloaded', text, { pushback: withJitter(waitMs) });
}

const overloadText = remembered((waitMs, objectiveMs) => {
  return `the model has more requests than it can answer within its objective of ${format(objectiveMs)} (objective_ms): about ${format(waitMs)} of work go before this one`;
});

/** For a request of the largest flow, when the queue is full and a request of a smaller flow arrives. */
export function gaveWay(waitMs: number): InferError {
  return withPushback(queueFull('gave way to a caller with less work in the queue (max_queue_size)'), waitMs);
}

export function tooManyWait(policies: QueuePolicies, level: number): InferError {
  const { maxRequests } = policies.at(level);
  if (policies.levels === 1) return tooManyWaitInAll(maxRequests);
  return queueFull(`${maxRequests} requests of priority ${level} wait (max_queue_size)`);
}

/** For a queue that counts the requests of all levels together. */
export function tooManyWaitInAll(maxRequests: number): InferError {
  return queueFull(`${maxRequests} requests wait (max_queue_size)`);
}

export function tooManyBytesWait(bytes: number, maxBytes: number, more: number): InferError {
  return queueFull(`${bytes} of ${maxBytes} bytes wait, ${more} more do not fit (max_queue_bytes)`);
}

/** Begins with Triton's text. */
function queueFull(detail: string): InferError {
  return new InferError('queue_full', `Exceeds maximum queue size: ${detail}`);
}

/** Asks the caller to come back after the wait. */
export function withPushback({ reason, message }: InferError, waitMs: number): InferError {
  return new InferError(reason, message, { pushback: withJitter(waitMs) });
}

export function killedTwice(cause: string): InferError {
  const text = `the model's process ended twice while it ran this request by itself (${cause})`;
  return new InferError('runner_killed_twice', text);
}

export function overran(maxMs: number): InferError {
  const text = `the model ran for longer than the ${format(maxMs)} that tensorgate.max_run_ms allows a run: ask for less in one request`;
  return new InferError('limit_exceeded', text);
}

export function refused(message: string): InferError {
  return new InferError('invalid_data', `the model refused this input: ${explain(message)}`);
}

/** For a request that was given answers before: another run would give them again. */
export function endedMidway(): InferError {
  return new InferError('model_failed', "the model's process ended after it had given answers to this request");
}

/** @param reason of a call to another model that the code did not catch */
export function modelFailed(message: string, reason?: PassedOn): InferError {
  if (reason === undefined) return new InferError('model_failed', message);
  const text = `a call of the model to another model failed: ${message}`;
  return new InferError(reason, text, { pushback: withJitter(PASSED_ON_PUSHBACK_MS) });
}

/** @param sizes of the outputs, as a text */
export function outputsTooLarge(sizes: string, maxOutputBytes: number): InferError {
  const text = `${sizes}: the outputs of a request may have ${maxOutputBytes} (maxOutputBytes)`;
  return new InferError('limit_exceeded', text);
}

export function outOfMemory({ cause }: Extract<RunOutcome, { kind: 'out_of_memory' }>): InferError {
  const text =
    'the model found too little memory for this request: send fewer rows, or smaller values where they are sizes';
  return new InferError('limit_exceeded', cause === undefined ? text : `${text} (its process ${cause})`);
}

export function noRoom({ message, isLasting }: Extract<RunOutcome, { kind: 'no_room' }>): InferError {
  const text = `the server has no room for this request: ${message}`;
  return isLasting
    ? new InferError('limit_exceeded', text)
    : new InferError('queue_full', text, { pushback: withJitter(NO_ROOM_PUSHBACK_MS) });
}

export function breakerOpen({ name, version }: ModelRef, retryAfterMs: number): InferError {
  const text = `model '${name}' version ${version} failed repeatedly and is given a pause: try another replica, or again in ${format(retryAfterMs)}`;
  return new InferError('breaker_open', text, { pushback: withJitter(retryAfterMs) });
}

/** Two digits: predictions are no more precise, and equal texts of simultaneous refusals are encoded once. */
function rough(ms: number): number {
  if (ms < 10) return Math.round(ms * 10) / 10;
  let unit = 1;
  while (ms >= 100 * unit) unit *= 10;
  return Math.round(ms / unit) * unit;
}

/** Gives the last text again where its numbers come again, as they mostly do under overload. */
function remembered(textOf: (a: number, b: number, c: number) => string): (a: number, b: number, c: number) => string {
  let last: readonly [a: number, b: number, c: number, text: string] = [Number.NaN, 0, 0, ''];
  return (a, b, c) => {
    if (last[0] !== a || last[1] !== b || last[2] !== c) last = [a, b, c, textOf(a, b, c)];
    return last[3];
  };
}

function format(ms: number): string {
  if (ms <= 0) return '0 ms';
  return ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`;
}

/** The part of ONNX Runtime's text that is about the input: without its own source paths and addresses. */
function explain(message: string): string {
  const status = /Status Message: (.*)/s.exec(message)?.[1] ?? message;
  return status.replace(/\S*\/\S+\.(?:cc|h|cpp):\d+\s*/g, '').trim();
}
