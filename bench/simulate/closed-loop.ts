/** Closed-loop clients: each of them sends the next request when it has the reply to the last one. */

import type { Batcher } from '../../src/gateway/batch/batcher.ts';
import { type Reply, type RequestPlan, send } from './client.ts';
import type { Curve } from './curves.ts';
import type { PeerRule } from './peers.ts';
import { lognormal, type Random, seeded } from './random.ts';
import type { VirtualClock } from './virtual-clock.ts';

/** From an answer until the client's next request is at the server: two ways over the network, and the client's own work. */
const WAY_MS = 0.15;
const WAY_NOISE = 0.3;
/** The gateway takes requests from its connections one after the other. */
const PER_REQUEST_MS = 0.02;
/** A client whose request was not answered tries again a little later. */
const PAUSE_MS = 1;

/** When a client's next request arrives whose reply is sent at `now`. */
export type ComeBack = (now: number) => number;

export function comesBackAtOnce(seed: number): ComeBack {
  const random: Random = seeded(seed);
  let last = 0;
  return (now) => {
    last = Math.max(now + WAY_MS * lognormal(WAY_NOISE, random), last + PER_REQUEST_MS);
    return last;
  };
}

export interface ClosedLoop {
  /** Requests in flight. */
  readonly concurrency: number;
  readonly untilMs: number;
  readonly comeBack: ComeBack;
}

/** Keeps `concurrency` requests in flight until `untilMs`. */
export function closedLoop(
  clock: VirtualClock,
  batcher: Batcher,
  { concurrency, untilMs, comeBack }: ClosedLoop,
  plan: RequestPlan,
): Reply[] {
  const replies: Reply[] = [];
  const next = (): void =>
    send(clock, batcher, plan, (reply) => {
      replies.push(reply);
      const isAnswered = reply.fate === 'in_time' || reply.fate === 'late';
      if (clock.now < untilMs) clock.at(isAnswered ? comeBack(clock.now) : clock.now + PAUSE_MS, next);
    });
  for (let client = 0; client < concurrency; client++) clock.at(0, next);
  return replies;
}

/** The same clients at a peer's rule. @returns how many answers they had */
export function closedLoopPeer(
  rule: PeerRule,
  curve: Curve,
  { concurrency, untilMs, comeBack }: ClosedLoop,
  noise: number,
  sloMs: number,
): number {
  const random = seeded(7);
  let waiting: number[] = Array.from({ length: concurrency }, () => 0);
  let answered = 0;
  let now = 0;
  while (now < untilMs) {
    const end = waiting.findIndex((arrival) => arrival > now);
    const here = end < 0 ? waiting.length : end;
    if (here === 0) {
      now = waiting[0] ?? untilMs;
      continue;
    }
    const { drop, send: sent } = rule.choose(
      { arrivals: Float64Array.from(waiting), head: 0, end: here },
      now,
      curve,
      sloMs,
    );
    const rows = Math.min(sent, here - drop, curve.maxRows);
    const dropped = Array.from({ length: drop }, () => now + PAUSE_MS);
    waiting.splice(0, drop + rows);
    if (rows > 0) now += (curve.table[rows] ?? 0) * lognormal(noise, random);
    answered += rows;
    waiting.push(...dropped);
    for (let row = 0; row < rows; row++) waiting.push(comeBack(now));
    waiting = waiting.sort((one, other) => one - other);
  }
  return answered;
}
