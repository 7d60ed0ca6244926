/** A call as its head describes it, and the tools that all calls of a transport share. */

import type { Http2Limits } from '../../../http2/limits.ts';
import type { Landing } from '../../landing/landing.ts';
import type { MessageLimit } from '../message-limit.ts';
import type { CallHead } from './call-head.ts';
import type { DeadlineWheel } from './deadline-wheel.ts';
import type { Encoding, Inflater } from './inflater.ts';

/** Shared by all calls of a transport. */
export interface CallTools {
  readonly deadlines: DeadlineWheel;
  readonly inflater: Inflater;
  /** `undefined`: all tensors stay in their messages. */
  readonly landing: Landing | undefined;
  readonly limits: Pick<Http2Limits, 'messageGraceMs' | 'minBytesPerSecond'>;
}

export interface CallTerms {
  /** Bytes of the budget of incoming requests that were taken for the call; see `costOf`. */
  readonly heldBytes: number;
  readonly path: string;
  readonly messageLimit: MessageLimit;
  /** Its method takes tensors beside its messages. */
  readonly landsTensors: boolean;
  readonly head: CallHead;
  readonly encoding: Encoding;
  readonly startedAt: number;
  readonly deadline: number;
}

/** Memory charged for a call besides metadata and messages: its objects, its stream's, and its method's. */
const CALL_BYTES = 2 * 1024;

/** Bytes that a call holds from its headers until its end. */
export function costOf(head: CallHead): number {
  return CALL_BYTES + head.byteLength;
}

/** By so much may a client's clock be ahead of ours: the way of the request, and a tick of the wheel. */
const CLOCK_LEAD_MS = 10;
/** Minimum age of a call whose client measures time at all. */
const MIN_AGE_MS = 1;
/** Calls with so short a deadline expire in numbers when a server is slow. */
const BRIEF_MS = 1_000;
const BRIEF_COST = 0.1;

/** The cost of a reset for the client. It may reset a call that has expired by its own clock before we have even read the call. */
export function resetCostOf({ startedAt, deadline }: CallTerms, now: number): number {
  const ageMs = now - startedAt;
  const timeoutMs = deadline - startedAt;
  if (ageMs >= MIN_AGE_MS && ageMs >= timeoutMs - CLOCK_LEAD_MS) return 0;
  return timeoutMs <= BRIEF_MS ? BRIEF_COST : 1;
}

/** Whether the client's clock may have ended the call: that began a little before ours. */
export function mayHaveExpired({ deadline }: CallTerms, now: number): boolean {
  return now >= deadline - CLOCK_LEAD_MS;
}
