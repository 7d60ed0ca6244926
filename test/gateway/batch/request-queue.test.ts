import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { QueuedRequest } from '../../../src/gateway/batch/queued-request.ts';
import { RequestQueue } from '../../../src/gateway/batch/request-queue.ts';
import { InferError } from '../../../src/gateway/errors.ts';
import { fp32Rows, queuedRequest } from '../../support/queued-requests.ts';

const ROOMY = { maxRequests: 1_000, maxBytes: 1_000_000 };

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
    const queue = new RequestQueue({ ...ROOMY, maxRequests: 3 });
    for (let count = 0; count < 3; count++) queue.push(request(`bucket ${count}`));
    const error = thrownBy(() => queue.push(request()));
    expect(error.reason).toBe('queue_full');
    expect(error.message).toBe('Exceeds maximum queue size: 3 requests wait (max_queue_size)');
    expect(queue.requests).toBe(3);
  });

  test('bytes are bounded, to the last one', () => {
    const queue = new RequestQueue({ ...ROOMY, maxBytes: 12 });
    queue.push(request('a', 2));
    queue.push(request('b', 1));
    const error = thrownBy(() => queue.push(request('a', 1)));
    expect(error.reason).toBe('queue_full');
    expect(error.message).toBe('Exceeds maximum queue size: 12 of 12 bytes wait, 4 more do not fit (max_queue_bytes)');
  });

  test('there is room again after a take, a removal, and a sweep', () => {
    const queue = new RequestQueue({ ...ROOMY, maxRequests: 1 });
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
    const queue = new RequestQueue(ROOMY);
    const requests = [request(), request(), request()];
    for (const one of requests) queue.push(one);
    expect([...queue.take('a', 2), ...queue.take('a', 2)]).toEqual(requests);
  });

  test('buckets do not mix', () => {
    const queue = new RequestQueue(ROOMY);
    const a = request('a');
    const b = request('b');
    queue.push(a);
    queue.push(b);
    expect(queue.take('b', 10)).toEqual([b]);
    expect(queue.take('a', 10)).toEqual([a]);
  });

  test('a bucket that holds nothing is not listed', () => {
    const queue = new RequestQueue(ROOMY);
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
  const queue = new RequestQueue(ROOMY);
  const one = request('a', 3);
  queue.push(one);
  expect(queue.remove(request('a'))).toBe(false);
  expect(queue.remove(request('b'))).toBe(false);
  expect(queue.remove(one)).toBe(true);
  expect(queue.remove(one)).toBe(false);
  expect([queue.requests, queue.rows]).toEqual([0, 0]);
});

test('a sweep keeps the order of those who stay', () => {
  const queue = new RequestQueue(ROOMY);
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
      const queue = new RequestQueue({ ...ROOMY, maxRequests: 10 });
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
