/** Periodic work for a connection, independent of its peer's requests. Checked about once a second. */

import type { Http2Limits } from './limits.ts';

/** Moments on one clock, in milliseconds; `undefined`: it did not happen, or is over. */
export interface Vitals {
  readonly openedAt: number;
  readonly maxAgeMs: number;
  /** The last byte came. */
  readonly receivedAt: number;
  readonly hasSettings: boolean;
  /** A header block, or a frame other than DATA, was found to have begun, and has not ended. */
  readonly unfinishedSince: number | undefined;
  /** Our PING was sent, and its answer has not come. */
  readonly pingedAt: number | undefined;
  /** The socket became full. */
  readonly blockedAt: number | undefined;
  /** When GOAWAY was sent. */
  readonly retiredAt: number | undefined;
}

export type Duty =
  | 'nothing'
  /** See whether the peer is still there. */
  | 'ping'
  /** Send GOAWAY. */
  | 'retire'
  /** End the open calls. */
  | 'abandon'
  /** End the connection: the client does not speak, or never ends what it says. */
  | 'refuse'
  | 'interrupt'
  /** Close the socket: the peer does not read, is gone, or ignored GOAWAY. */
  | 'stalled'
  | 'silent'
  | 'overdue';

export type UpkeepLimits = Pick<
  Http2Limits,
  'handshakeMs' | 'stallMs' | 'keepaliveMs' | 'keepaliveTimeoutMs' | 'ageGraceMs'
>;

export function dutyOf(vitals: Vitals, limits: UpkeepLimits, now: number): Duty {
  const { openedAt, receivedAt, unfinishedSince, pingedAt, blockedAt, retiredAt } = vitals;
  if (!vitals.hasSettings) return now - openedAt > limits.handshakeMs ? 'refuse' : 'nothing';
  if (unfinishedSince !== undefined && now - unfinishedSince > limits.handshakeMs) return 'interrupt';
  if (blockedAt !== undefined && now - blockedAt > limits.stallMs) return 'stalled';
  // Whatever it sends shows that it is there; an answer to PING is only what a silent peer has to send.
  if (pingedAt !== undefined && receivedAt <= pingedAt && now - pingedAt > limits.keepaliveTimeoutMs) return 'silent';
  if (retiredAt !== undefined && now - retiredAt > limits.ageGraceMs + limits.keepaliveTimeoutMs) return 'overdue';
  if (retiredAt !== undefined && now - retiredAt > limits.ageGraceMs) return 'abandon';
  if (retiredAt === undefined && now - openedAt > vitals.maxAgeMs) return 'retire';
  if (pingedAt === undefined && now - receivedAt > limits.keepaliveMs) return 'ping';
  return 'nothing';
}
