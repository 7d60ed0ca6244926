/** One request of a client, and open-loop clients: each request is sent when it is due, whatever became of those before it. */

import type { Call } from '../../src/gateway/accept/call.ts';
import type { InferTensors } from '../../src/gateway/admit/infer-tensors.ts';
import type { Batcher } from '../../src/gateway/batch/batcher.ts';
import { InferError } from '../../src/gateway/errors.ts';
import { ONE_SHAPE, SimulatedCall, tensorsOf } from './model.ts';
import type { VirtualClock } from './virtual-clock.ts';

/** What becomes of a request: `refused` at once or `shed` later because it cannot be in time, `full` where the queue is. */
export type Fate = 'in_time' | 'late' | 'refused' | 'shed' | 'full' | 'expired' | 'failed';

/** What became of a request. */
export interface Answer {
  readonly sentMs: number;
  readonly latencyMs: number;
  readonly fate: Fate;
  readonly rows: number;
  /** The label of its plan. */
  readonly label: string;
}

export interface Reply extends Answer {
  readonly call: Call;
}

export interface RequestPlan {
  /** The deadline that the caller names, in milliseconds after the request; `undefined`: none, so the server's default. */
  readonly deadlineMs?: number | undefined;
  /** An answer after this many milliseconds counts as late; by default the deadline. */
  readonly targetMs?: number;
  /** By default one row of the only shape. */
  readonly tensors?: InferTensors | undefined;
  readonly level?: number;
  /** The caller's tenant, as its metadata names it. */
  readonly tenant?: string;
  /** What the figures are grouped by. */
  readonly label?: string;
}

/** The default of the server's `--default-deadline`. */
export const DEFAULT_DEADLINE_MS = 30_000;

const ONE_ROW = tensorsOf({ shape: ONE_SHAPE, rows: 1 });

/** Sends a request for each arrival, and records its reply. */
export function sendAll(
  clock: VirtualClock,
  batcher: Batcher,
  arrivals: Float64Array,
  plan: (index: number) => RequestPlan,
): Reply[] {
  const replies: Reply[] = [];
  const next = (index: number): void => {
    const arrival = arrivals[index];
    if (arrival === undefined) return;
    clock.at(arrival, () => {
      next(index + 1);
      send(clock, batcher, plan(index), (reply) => replies.push(reply));
    });
  };
  next(0);
  return replies;
}

/** Sends one request now. */
export function send(
  clock: VirtualClock,
  batcher: Batcher,
  {
    deadlineMs,
    targetMs = deadlineMs ?? Number.POSITIVE_INFINITY,
    tensors = ONE_ROW,
    level = 0,
    tenant,
    label = tenant ?? '',
  }: RequestPlan,
  record: (reply: Reply) => void,
): void {
  const sentMs = clock.now;
  const deadline = sentMs + (deadlineMs ?? DEFAULT_DEADLINE_MS);
  const call = new SimulatedCall(deadline, deadlineMs !== undefined, tenant);
  const expiry = clock.at(call.deadline, () => {
    call.cancelled = true;
    call.onCancel?.('deadline');
  });
  const end = (fate: (latencyMs: number) => Fate): void => {
    expiry.cancelled = true;
    const latencyMs = clock.now - sentMs;
    record({ call, sentMs, latencyMs, fate: fate(latencyMs), rows: tensors.rows, label });
  };
  batcher.enqueue(tensors, call, { timeoutMs: undefined, priority: level, sequence: undefined }).then(
    () => end((latencyMs) => (latencyMs <= targetMs + 1e-9 ? 'in_time' : 'late')),
    (error: unknown) => end((latencyMs) => fateOf(error, latencyMs)),
  );
}

function fateOf(error: unknown, latencyMs: number): Fate {
  if (!(error instanceof InferError)) throw error;
  switch (error.reason) {
    case 'cannot_meet_deadline':
    case 'deadline_too_short':
    case 'overloaded':
      return latencyMs === 0 ? 'refused' : 'shed';
    case 'queue_full':
      return 'full';
    case 'deadline_exceeded':
      return 'expired';
    default:
      return 'failed';
  }
}
