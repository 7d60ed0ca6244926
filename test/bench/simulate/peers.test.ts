import { describe, expect, test } from 'vitest';
import { type Curve, linear } from '../../../bench/simulate/curves.ts';
import { BENTOML, FIFO, NEXUS, type PeerRule, servePeer, sharePeer, TRITON } from '../../../bench/simulate/peers.ts';

/** Batches of `rows` take 2 ms and a millisecond for each row. */
const CURVE: Curve = { name: 'test', title: 'test', maxRows: 8, sloMs: 10, table: linear(2, 1, 8) };

/** What a rule makes of requests that arrived at these times. */
function choose(rule: PeerRule, now: number, ...arrivals: readonly number[]): { drop: number; send: number } {
  const queue = { arrivals: Float64Array.from(arrivals), head: 0, end: arrivals.length };
  return rule.choose(queue, now, CURVE, CURVE.sloMs);
}

describe('a rule of a peer', () => {
  test('FIFO sends whatever waits, expired or not', () => {
    expect(choose(FIFO, 50, 0, 1, 2)).toEqual({ drop: 0, send: 3 });
  });

  test('Triton drops what has expired, and sends the rest however late it will be', () => {
    expect(choose(TRITON, 11, 0, 0.5, 2)).toEqual({ drop: 2, send: 1 });
  });

  test('BentoML drops heads until a run of all that waits is in time for the next', () => {
    // Three take 5 ms: the head is 7 ms old; without it two take 4 ms, and the next is 5 ms old.
    expect(choose(BENTOML, 7, 0, 2, 6)).toEqual({ drop: 1, send: 2 });
    expect(choose(BENTOML, 100, 0)).toEqual({ drop: 0, send: 1 });
  });

  test('Nexus drops heads until a batch of the target size is in time', () => {
    // Two batches of 3 fit into the deadline: 2 * 5 <= 10.
    expect(choose(NEXUS, 4, 0, 0, 0, 0)).toEqual({ drop: 0, send: 3 });
    expect(choose(NEXUS, 6, 0, 1, 2, 3)).toEqual({ drop: 1, send: 3 });
    expect(choose(NEXUS, 20, 0, 1)).toEqual({ drop: 2, send: 0 });
  });

  test('serves batches of at most the largest size, one after the other', () => {
    const arrivals = Float64Array.from({ length: 10 }, () => 0);
    const latenciesMs = servePeer(FIFO, arrivals, CURVE, { sloMs: 10, noise: 0, seed: 1 });
    expect([...latenciesMs]).toEqual([...Array<number>(8).fill(10), 14, 14]);
    expect(sharePeer(FIFO, arrivals, CURVE, { sloMs: 10, noise: 0, seed: 1 })).toBe(0.8);
  });
});
