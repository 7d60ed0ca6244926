/**
 * The batching rules of other servers, as simplified models of the rule and not of the product. They know the exact curve,
 * serve one model on one instance, and every request has the same deadline.
 */

import type { Curve } from './curves.ts';
import { lognormal, seeded } from './random.ts';

/** What waits: the arrivals from `head` up to, and without, `end`. */
export interface PeerQueue {
  readonly arrivals: Float64Array;
  readonly head: number;
  readonly end: number;
}

/** Drops the oldest requests, and sends the next ones. */
export interface PeerChoice {
  readonly drop: number;
  readonly send: number;
}

export interface PeerRule {
  readonly name: string;
  readonly title: string;
  choose(queue: PeerQueue, nowMs: number, curve: Curve, sloMs: number): PeerChoice;
}

export const FIFO: PeerRule = {
  name: 'FIFO',
  title: 'Triton without a queue policy, TEI, Ray Serve: whatever waits is sent when the instance is idle',
  choose: ({ head, end }) => ({ drop: 0, send: end - head }),
};

export const TRITON: PeerRule = {
  name: 'Triton',
  title: 'Triton with a queue timeout: expired requests are dropped, the rest is sent',
  choose: ({ arrivals, head, end }, now, _curve, sloMs) => {
    let drop = 0;
    while (head + drop < end && at(arrivals, head + drop) + sloMs < now) drop++;
    return { drop, send: end - head - drop };
  },
};

export const BENTOML: PeerRule = {
  name: 'BentoML',
  title: 'BentoML: the head is dropped while its age and a run of the whole queue exceed the deadline',
  choose: ({ arrivals, head, end }, now, { table, maxRows }, sloMs) => {
    const perRow = (at(table, maxRows) - at(table, 1)) / (maxRows - 1);
    const fixed = at(table, 1) - perRow;
    let drop = 0;
    const predicted = (): number => now - at(arrivals, head + drop) + perRow * (end - head - drop) + fixed;
    while (end - head - drop > 1 && predicted() >= sloMs) drop++;
    return { drop, send: end - head - drop };
  },
};

export const NEXUS: PeerRule = {
  name: 'Nexus',
  title: 'Nexus: heads are dropped until a batch of the target size is in time (sliding window)',
  choose: ({ arrivals, head, end }, now, { table, maxRows }, sloMs) => {
    let target = 1;
    while (target < maxRows && 2 * at(table, target + 1) <= sloMs) target++;
    for (let drop = 0; head + drop < end; drop++) {
      const send = Math.min(target, end - head - drop);
      if (now + at(table, send) <= at(arrivals, head + drop) + sloMs + 1e-9) return { drop, send };
    }
    return { drop: end - head, send: 0 };
  },
};

export const PEERS: readonly PeerRule[] = [FIFO, TRITON, BENTOML, NEXUS];

export interface PeerOptions {
  readonly sloMs: number;
  /** Standard deviation of the logarithm of a run's time. */
  readonly noise: number;
  readonly seed: number;
}

/** Serves the arrivals by a peer's rule. @returns each request's time from arrival to answer; `NaN` for one that was dropped. */
export function servePeer(
  rule: PeerRule,
  arrivals: Float64Array,
  curve: Curve,
  { sloMs, noise, seed }: PeerOptions,
): Float64Array {
  const random = seeded(seed);
  const latenciesMs = new Float64Array(arrivals.length).fill(Number.NaN);
  let now = 0;
  let head = 0;
  let end = 0;
  while (head < arrivals.length) {
    while (end < arrivals.length && at(arrivals, end) <= now) end++;
    if (head === end) {
      now = at(arrivals, head);
      continue;
    }
    const { drop, send } = rule.choose({ arrivals, head, end }, now, curve, sloMs);
    head += drop;
    const rows = Math.min(send, end - head, curve.maxRows);
    if (rows <= 0) continue;
    now += at(curve.table, rows) * lognormal(noise, random);
    for (const last = head + rows; head < last; head++) latenciesMs[head] = now - at(arrivals, head);
  }
  return latenciesMs;
}

/** Share of the requests that are answered within `sloMs`. */
export function sharePeer(rule: PeerRule, arrivals: Float64Array, curve: Curve, options: PeerOptions): number {
  const limit = options.sloMs + 1e-9;
  return servePeer(rule, arrivals, curve, options).filter((latency) => latency <= limit).length / arrivals.length;
}

function at(values: Float64Array, index: number): number {
  return values[index] ?? Number.NaN;
}
