import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LAST_TURN, QueuePolicies, turnOf } from '../../../src/gateway/batch/queue-policy.ts';
import type { QueuedRequest } from '../../../src/gateway/batch/queued-request.ts';
import { RequestQueue } from '../../../src/gateway/batch/request-queue.ts';
import { InferError } from '../../../src/gateway/errors.ts';
import { fp32Rows, oneLevel, queuedRequest, queuePolicy } from '../../support/queued-requests.ts';

const MAX_BYTES = 1_000_000;

function queueOf(maxRequests = 1_000, maxBytes = MAX_BYTES): RequestQueue {
  return new RequestQueue(oneLevel({ maxRequests }), maxBytes);
}

function request(bucket = 'a', rows = 1): QueuedRequest {
  return queuedRequest(fp32Rows(rows, 0, bucket));
}

function thrownBy(action: () => void): InferError {
  try {
    action();
  } catch (error) {
    if (error instanceof InferError) return error;
  }
  throw new Error('no InferError was thrown');
}

describe('bounds', () => {
  test('as many requests as the bound says wait, and one more is refused with the bound in its text', () => {
    const queue = queueOf(3);
    for (let count = 0; count < 3; count++) queue.push(request(`bucket ${count}`));
    const error = thrownBy(() => queue.push(request()));
    expect(error.reason).toBe('queue_full');
    expect(error.message).toBe('Exceeds maximum queue size: 3 requests wait (max_queue_size)');
    expect(queue.requests).toBe(3);
  });

  test('bytes are bounded, to the last one', () => {
    const queue = queueOf(1_000, 12);
    queue.push(request('a', 2));
    queue.push(request('b', 1));
    const error = thrownBy(() => queue.push(request('a', 1)));
    expect(error.reason).toBe('queue_full');
    expect(error.message).toBe('Exceeds maximum queue size: 12 of 12 bytes wait, 4 more do not fit (max_queue_bytes)');
  });

  test('there is room again after a take, a removal, and a sweep', () => {
    const queue = queueOf(1);
    const first = request();
    queue.push(first);
    queue.take('a', 1);
    queue.push(first);
    queue.remove(first);
    queue.push(first);
    queue.sweep(() => true);
    queue.push(first);
    expect(queue.requests).toBe(1);
  });
});

describe('order', () => {
  test('a bucket is first in, first out', () => {
    const queue = queueOf();
    const requests = [request(), request(), request()];
    for (const one of requests) queue.push(one);
    expect([...queue.take('a', 2), ...queue.take('a', 2)]).toEqual(requests);
  });

  test('buckets do not mix', () => {
    const queue = queueOf();
    const a = request('a');
    const b = request('b');
    queue.push(a);
    queue.push(b);
    expect(queue.take('b', 10)).toEqual([b]);
    expect(queue.take('a', 10)).toEqual([a]);
  });

  test('a bucket that holds nothing is not listed', () => {
    const queue = queueOf();
    const one = request('a');
    queue.push(one);
    queue.take('a', 0);
    expect([...queue.buckets.keys()]).toEqual(['a']);
    queue.remove(one);
    expect(queue.buckets.size).toBe(0);
    queue.push(one);
    queue.sweep(() => true);
    expect(queue.buckets.size).toBe(0);
  });
});

test('a request that does not wait is not removed, and nothing is counted twice', () => {
  const queue = queueOf();
  const one = request('a', 3);
  queue.push(one);
  expect(queue.remove(request('a'))).toBe(false);
  expect(queue.remove(request('b'))).toBe(false);
  expect(queue.remove(one)).toBe(true);
  expect(queue.remove(one)).toBe(false);
  expect([queue.requests, queue.rows]).toEqual([0, 0]);
});

test('a sweep keeps the order of those who stay', () => {
  const queue = queueOf();
  const requests = [1, 2, 3, 4, 5].map((rows) => request('a', rows));
  for (const one of requests) queue.push(one);
  expect(queue.sweep(({ rows }) => rows % 2 === 0).map(({ rows }) => rows)).toEqual([2, 4]);
  expect(queue.take('a', 10).map(({ rows }) => rows)).toEqual([1, 3, 5]);
});

test('whatever is done, requests and rows are counted, nobody is lost and nobody is there twice', () => {
  const command = fc.oneof(
    fc.record({ do: fc.constant('push' as const), bucket: fc.constantFrom('a', 'b', 'c'), rows: fc.nat(5) }),
    fc.record({ do: fc.constant('take' as const), bucket: fc.constantFrom('a', 'b', 'c'), count: fc.nat(4) }),
    fc.record({ do: fc.constant('remove' as const), index: fc.nat(10) }),
    fc.record({ do: fc.constant('sweep' as const), rows: fc.nat(5) }),
  );
  fc.assert(
    fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
      const queue = queueOf(10);
      let expected: QueuedRequest[] = [];
      for (const step of commands) {
        switch (step.do) {
          case 'push': {
            const one = request(step.bucket, step.rows);
            if (expected.length < 10) {
              queue.push(one);
              expected.push(one);
            } else expect(() => queue.push(one)).toThrow('maximum queue size');
            break;
          }
          case 'take': {
            const taken = expected.filter(({ tensors }) => tensors.bucket === step.bucket).slice(0, step.count);
            expect(queue.take(step.bucket, step.count)).toEqual(taken);
            expected = expected.filter((one) => !taken.includes(one));
            break;
          }
          case 'remove': {
            const one = expected[step.index];
            if (one === undefined) break;
            expect(queue.remove(one)).toBe(true);
            expected = expected.filter((other) => other !== one);
            break;
          }
          case 'sweep': {
            const swept = queue.sweep(({ rows }) => rows === step.rows);
            expect(new Set(swept)).toEqual(new Set(expected.filter(({ rows }) => rows === step.rows)));
            expected = expected.filter(({ rows }) => rows !== step.rows);
            break;
          }
        }
        expect(queue.requests).toBe(expected.length);
        expect(queue.rows).toBe(expected.reduce((sum, { rows }) => sum + rows, 0));
        expect([...queue.buckets.values()].flat()).toHaveLength(expected.length);
      }
    }),
  );
});

describe('levels of priority', () => {
  const LEVELS = new QueuePolicies([
    queuePolicy({ maxRequests: 2 }),
    queuePolicy({ maxRequests: 3 }),
    queuePolicy({ maxRequests: Number.POSITIVE_INFINITY }),
  ]);

  function at(level: number, arrivalMs = 0, bucket = 'a', rows = 1): QueuedRequest {
    return queuedRequest(fp32Rows(rows, 0, bucket), { level, arrivalMs, turn: turnOf(level, arrivalMs) });
  }

  test('each has room of its own: a crowd of the least urgent does not keep the most urgent out', () => {
    const queue = new RequestQueue(LEVELS, MAX_BYTES);
    for (let count = 0; count < 100; count++) queue.push(at(3));
    queue.push(at(1));
    queue.push(at(1));
    expect(thrownBy(() => queue.push(at(1))).message).toBe(
      'Exceeds maximum queue size: 2 requests of priority 1 wait (max_queue_size)',
    );
    queue.push(at(2));
    expect(queue.requests).toBe(103);
  });

  test('what goes before a request is what is as urgent, or more, and has not had its time', () => {
    const queue = new RequestQueue(LEVELS, MAX_BYTES);
    const first = at(1, 0, 'a', 2);
    queue.push(first);
    queue.push(at(2, 0, 'b', 3));
    queue.push(at(3, 0, 'a', 4));
    expect([1, 2, 3].map((level) => queue.rowsBefore(level))).toEqual([2, 5, 9]);
    queue.postpone(first);
    expect([1, 2, 3].map((level) => queue.rowsBefore(level))).toEqual([0, 3, 7]);
    expect(queue.rows).toBe(9);
    queue.take('a', 2);
    expect([1, 2, 3].map((level) => queue.rowsBefore(level))).toEqual([0, 3, 3]);
  });

  test('a postponed request keeps its place in the count, and stands behind what comes later', () => {
    const queue = new RequestQueue(LEVELS, MAX_BYTES);
    const [first, second, third] = [at(1, 0), at(1, 1), at(3, 2)];
    queue.push(first);
    queue.push(second);
    expect(queue.postpone(first)).toBe(true);
    expect(() => queue.push(at(1, 1))).toThrow('2 requests of priority 1 wait');
    queue.push(third);
    expect(queue.take('a', 3)).toEqual([second, third, first]);
    expect(queue.postpone(first)).toBe(false);
  });

  test('whatever comes and is put off: the order is by turn, then by arrival, and the bounds hold', () => {
    const command = fc.oneof(
      { weight: 4, arbitrary: fc.record({ do: fc.constant('push' as const), level: fc.integer({ min: 1, max: 3 }) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('postpone' as const), index: fc.nat(10) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('take' as const), count: fc.nat(3) }) },
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(command, fc.nat(700)), { maxLength: 60 }), (steps) => {
        const queue = new RequestQueue(LEVELS, MAX_BYTES);
        let now = 0;
        // In the order in which each got its present turn.
        let expected: QueuedRequest[] = [];
        for (const [step, ms] of steps) {
          now += ms;
          if (step.do === 'push') {
            const one = at(step.level, now);
            const waiting = expected.filter(({ level }) => level === step.level).length;
            if (waiting < LEVELS.at(step.level).maxRequests) {
              queue.push(one);
              expected.push(one);
            } else expect(() => queue.push(one)).toThrow('maximum queue size');
          } else if (step.do === 'postpone') {
            const one = expected[step.index];
            if (one === undefined) continue;
            queue.postpone(one);
            expect(one.turn).toBe(LAST_TURN);
            expected = [...expected.filter((other) => other !== one), one];
          } else {
            const sorted = expected.toSorted((a, b) => (a.turn === b.turn ? 0 : a.turn - b.turn));
            const taken = queue.take('a', step.count);
            expect(taken).toEqual(sorted.slice(0, step.count));
            expected = expected.filter((one) => !taken.includes(one));
          }
        }
        expect(queue.take('a', 100)).toEqual(expected.toSorted((a, b) => (a.turn === b.turn ? 0 : a.turn - b.turn)));
        expect([queue.requests, queue.rows, queue.rowsBefore(3)]).toEqual([0, 0, 0]);
      }),
    );
  });

  test('within a second of each other requests go strictly by level, then by arrival', () => {
    const arrivals = fc.array(fc.tuple(fc.integer({ min: 1, max: 3 }), fc.nat(999)), { maxLength: 40 });
    fc.assert(
      fc.property(arrivals, (made) => {
        const queue = new RequestQueue(new QueuePolicies([queuePolicy(), queuePolicy(), queuePolicy()]), MAX_BYTES);
        const requests = made.toSorted(([, a], [, b]) => a - b).map(([level, ms]) => at(level, ms));
        for (const one of requests) queue.push(one);
        expect(queue.take('a', 40)).toEqual(
          [1, 2, 3].flatMap((level) => requests.filter((one) => one.level === level)),
        );
      }),
    );
  });
});
