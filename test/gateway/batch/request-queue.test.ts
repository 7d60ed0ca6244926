import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import type { FlowKey } from '../../../src/gateway/batch/fair-queueing.ts';
import { LAST_TAG, QueuePolicies } from '../../../src/gateway/batch/queue-policy.ts';
import type { QueuedRequest } from '../../../src/gateway/batch/queued-request.ts';
import { RequestQueue, type Verdict } from '../../../src/gateway/batch/request-queue.ts';
import { InferError } from '../../../src/gateway/errors.ts';
import { fp32Rows, oneLevel, queuedRequest, queuePolicy } from '../../support/queued-requests.ts';

const MAX_BYTES = 1_000_000;
/** A batch takes a millisecond a row, and has at most 4 rows. */
const BATCH = { predict: (_: unknown, rows: number) => rows, maxRows: 4 };

const promising = (): Verdict => 'promising';

interface Sketch {
  readonly bucket?: string;
  readonly rows?: number;
  readonly tenant?: string;
  readonly level?: number;
  readonly due?: number;
}

/** A queue with what waits in it. */
class Fixture {
  readonly queue: RequestQueue;
  #arrivals = 0;

  constructor(policies: QueuePolicies = oneLevel({ maxRequests: 1_000 }), maxBytes = MAX_BYTES) {
    this.queue = new RequestQueue(policies, maxBytes, BATCH);
  }

  request({ bucket = 'a', rows = 1, tenant = '', level = 1, due = this.#arrivals++ }: Sketch = {}): QueuedRequest {
    const key: FlowKey = { tenant, weight: 1, level, grantedMs: 100, isNamed: true };
    const tensors = fp32Rows(rows, 0, bucket);
    return queuedRequest(tensors, { level, due, flow: this.queue.flowOf(key), workMs: this.queue.workMs(tensors) });
  }

  push(sketch: Sketch = {}): QueuedRequest {
    const request = this.request(sketch);
    this.queue.push(request);
    return request;
  }

  /** What waits in a bucket, in order of the tags. */
  order(bucket = 'a'): QueuedRequest[] {
    return [...(this.queue.survey(promising).promising.get(bucket) ?? [])];
  }
}

let fixture: Fixture;

beforeEach(() => {
  fixture = new Fixture();
});

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
    fixture = new Fixture(oneLevel({ maxRequests: 3 }));
    for (let count = 0; count < 3; count++) fixture.push({ bucket: `bucket ${count}` });
    const error = thrownBy(() => fixture.push());
    expect(error.reason).toBe('queue_full');
    expect(error.message).toBe('Exceeds maximum queue size: 3 requests wait (max_queue_size)');
    expect(fixture.queue.requests).toBe(3);
  });

  test('bytes are bounded, to the last one', () => {
    fixture = new Fixture(oneLevel(), 12);
    fixture.push({ rows: 2 });
    fixture.push({ bucket: 'b' });
    const error = thrownBy(() => fixture.push());
    expect(error.reason).toBe('queue_full');
    expect(error.message).toBe('Exceeds maximum queue size: 12 of 12 bytes wait, 4 more do not fit (max_queue_bytes)');
  });

  test('there is room again after a request is sent, leaves, expires, and is swept', () => {
    fixture = new Fixture(oneLevel({ maxRequests: 1 }));
    const { queue } = fixture;
    queue.send([fixture.push()]);
    queue.leave(fixture.push());
    fixture.push();
    queue.survey(() => 'expired');
    fixture.push();
    queue.sweep(() => true);
    fixture.push();
    expect(queue.requests).toBe(1);
  });

  test('a flow gives way to a smaller one: its request that is due last goes, and no more than are in the way', () => {
    fixture = new Fixture(oneLevel({ maxRequests: 5 }));
    const greedy = Array.from({ length: 5 }, () => fixture.push({ tenant: 'greedy' }));
    const request = fixture.request({ tenant: 'modest' });
    expect(fixture.queue.push(request)).toEqual([greedy.at(-1)]);
    expect(fixture.queue.requests).toBe(5);
    expect(new Set(fixture.order())).toEqual(new Set([...greedy.slice(0, 4), request]));
  });

  test('no flow gives way to one that would be as large', () => {
    fixture = new Fixture(oneLevel({ maxRequests: 4 }));
    for (let count = 0; count < 2; count++) for (const tenant of ['x', 'y']) fixture.push({ tenant });
    expect(() => fixture.push({ tenant: 'x' })).toThrow('4 requests wait');
    const modest = fixture.request({ tenant: 'modest' });
    expect(fixture.queue.push(modest)).toHaveLength(1);
  });

  test('nothing leaves for a request that finds no place after all, because its bytes do not fit', () => {
    fixture = new Fixture(oneLevel({ maxRequests: 2 }));
    const greedy = [fixture.push({ tenant: 'greedy' }), fixture.push({ tenant: 'greedy' })];
    const heavy = { ...fixture.request({ tenant: 'modest' }), bytes: MAX_BYTES };
    expect(() => fixture.queue.push(heavy)).toThrow('max_queue_bytes');
    expect(fixture.order()).toEqual(greedy);
  });

  test('bytes give way likewise: as many requests as make room for the new one', () => {
    fixture = new Fixture(oneLevel(), 40);
    const greedy = Array.from({ length: 10 }, () => fixture.push({ tenant: 'greedy' }));
    const request = fixture.request({ tenant: 'modest', rows: 3 });
    expect(fixture.queue.push(request)).toEqual(greedy.slice(-3).reverse());
    expect(() => fixture.push({ tenant: 'modest', rows: 9 })).toThrow('40 of 40 bytes wait');
  });
});

describe('order', () => {
  test('a flow goes by when its answers are due, whatever came first', () => {
    const requests = [30, 10, 20].map((due) => fixture.push({ due }));
    expect(fixture.order()).toEqual([requests[1], requests[2], requests[0]]);
  });

  test('buckets do not mix, and one that holds nothing is not listed', () => {
    const [a, b] = [fixture.push({ bucket: 'a' }), fixture.push({ bucket: 'b' })];
    expect([fixture.order('a'), fixture.order('b')]).toEqual([[a], [b]]);
    fixture.queue.leave(a);
    expect([...fixture.queue.survey(promising).promising.keys()]).toEqual(['b']);
  });

  test('the tags of one flow grow over its buckets: each bucket stands where its head is due', () => {
    const requests = ['a', 'b', 'a', 'b'].map((bucket) => fixture.push({ bucket }));
    fixture.queue.survey(promising);
    expect(requests.map(({ tag }) => tag)).toEqual([1, 2, 3, 4]);
  });

  test('tenants alternate in a bucket, however many requests one of them has', () => {
    const greedy = Array.from({ length: 6 }, () => fixture.push({ tenant: 'greedy' }));
    const modest = Array.from({ length: 2 }, () => fixture.push({ tenant: 'modest' }));
    expect(fixture.order().slice(0, 4)).toEqual([greedy[0], modest[0], greedy[1], modest[1]]);
  });

  test('a request that is judged hopeless delays no requests behind it, and goes on waiting', () => {
    const [first, second] = [fixture.push({ due: 1 }), fixture.push({ due: 2 })];
    const { promising: left, hopeless } = fixture.queue.survey((one) => (one === first ? 'hopeless' : 'promising'));
    expect([hopeless, left.get('a')]).toEqual([[first], [second]]);
    expect(second.tag).toBe(1);
    expect(fixture.queue.requests).toBe(2);
  });
});

describe('the predicted time before a request', () => {
  test('is the time of full batches and the rest, each bucket at its own cost', () => {
    const queue = new RequestQueue(oneLevel(), MAX_BYTES, {
      predict: ({ bucket }, rows) => (bucket === 'slow' ? 100 + rows : rows),
      maxRows: 4,
    });
    const key: FlowKey = { tenant: '', weight: 1, level: 1, grantedMs: 100, isNamed: true };
    const flow = queue.flowOf(key);
    const push = (bucket: string): void => {
      const tensors = fp32Rows(1, 0, bucket);
      queue.push(queuedRequest(tensors, { flow, workMs: queue.workMs(tensors) }));
    };
    for (let count = 0; count < 6; count++) push('fast');
    expect(queue.msBefore({ flow, due: 1 })).toBe(6);
    push('slow');
    expect(queue.msBefore({ flow, due: 1 })).toBe(107);
    for (let count = 0; count < 4; count++) push('slow');
    expect(queue.msBefore({ flow, due: 1 })).toBe(6 + 104 + 101);
  });

  test('covers requests that are due earlier in its own flow', () => {
    for (let due = 0; due < 8; due++) fixture.push({ due });
    const { flow } = fixture.request();
    expect([-1, 3, 7].map((due) => fixture.queue.msBefore({ flow, due }))).toEqual([0, 4, 8]);
  });

  test("is little for a quiet tenant, and a greedy one's own work for the greedy one", () => {
    for (let count = 0; count < 40; count++) fixture.push({ tenant: 'greedy' });
    const [modest, greedy] = ['modest', 'greedy'].map((tenant) => fixture.request({ tenant, due: 1_000 }));
    expect(modest && fixture.queue.msBefore(modest)).toBe(0);
    expect(greedy && fixture.queue.msBefore(greedy)).toBe(40);
  });

  test('costs no more with thousands waiting: sums are kept, not made', () => {
    const cpuMs = (waiting: number): number => {
      fixture = new Fixture(oneLevel());
      for (let count = 0; count < waiting; count++) fixture.push({ bucket: `${count % 50}` });
      const request = fixture.request({ due: waiting });
      const started = process.cpuUsage();
      for (let count = 0; count < 20_000; count++) fixture.queue.msBefore(request);
      const { user, system } = process.cpuUsage(started);
      return (user + system) / 1_000;
    };
    cpuMs(100);
    expect(cpuMs(20_000)).toBeLessThan(5 * cpuMs(100) + 20);
  });
});

test('a request that does not wait does not leave, and nothing is counted twice', () => {
  const one = fixture.push({ rows: 3 });
  expect(fixture.queue.leave(fixture.request())).toBe(false);
  expect(fixture.queue.leave(one)).toBe(true);
  expect(fixture.queue.leave(one)).toBe(false);
  fixture.queue.send([one]);
  expect([fixture.queue.requests, fixture.queue.rows]).toEqual([0, 0]);
});

test('a sweep keeps the order of those who stay', () => {
  for (const rows of [1, 2, 3, 4, 5]) fixture.push({ rows });
  expect(fixture.queue.sweep(({ rows }) => rows % 2 === 0).map(({ rows }) => rows)).toEqual([2, 4]);
  expect(fixture.order().map(({ rows }) => rows)).toEqual([1, 3, 5]);
});

test('whatever is done, requests and rows are counted, none is lost and none is there twice', () => {
  const sketch = fc.record({
    bucket: fc.constantFrom('a', 'b'),
    rows: fc.nat(5),
    tenant: fc.constantFrom('x', 'y', 'z'),
    due: fc.nat(50),
  });
  const command = fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant('push' as const), sketch }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('send' as const), count: fc.nat(4) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('leave' as const), index: fc.nat(10) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('postpone' as const), index: fc.nat(10) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('expire' as const), rows: fc.nat(5) }) },
  );
  fc.assert(
    fc.property(fc.array(command, { maxLength: 80 }), (commands) => {
      const fixture = new Fixture(oneLevel({ maxRequests: 10 }));
      const { queue } = fixture;
      let expected: QueuedRequest[] = [];
      const without = (gone: readonly QueuedRequest[]): void => {
        expected = expected.filter((one) => !gone.includes(one));
      };
      for (const step of commands) {
        switch (step.do) {
          case 'push': {
            const one = fixture.request(step.sketch);
            try {
              without(queue.push(one));
              expected.push(one);
            } catch (error) {
              expect(InferError.from(error).reason).toBe('queue_full');
              expect(expected).toHaveLength(10);
            }
            break;
          }
          case 'send': {
            const sent = fixture.order().slice(0, step.count);
            queue.send(sent);
            without(sent);
            break;
          }
          case 'leave':
          case 'postpone': {
            const one = expected[step.index];
            if (one === undefined) break;
            expect(queue[step.do](one)).toBe(true);
            if (step.do === 'leave') without([one]);
            break;
          }
          case 'expire': {
            const { expired } = queue.survey(({ rows }) => (rows === step.rows ? 'expired' : 'promising'));
            expect(new Set(expired)).toEqual(new Set(expected.filter(({ rows }) => rows === step.rows)));
            without(expired);
            break;
          }
        }
        const found = [...queue.survey(promising).promising.values()];
        expect(new Set(found.flat())).toEqual(new Set(expected));
        expect(found.flat()).toHaveLength(expected.length);
        for (const bucket of found)
          expect(bucket).toEqual(bucket.toSorted((a, b) => (a.tag === b.tag ? 0 : a.tag - b.tag)));
        expect([queue.requests, queue.rows]).toEqual([
          expected.length,
          expected.reduce((sum, { rows }) => sum + rows, 0),
        ]);
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

  beforeEach(() => {
    fixture = new Fixture(LEVELS);
  });

  test('each has room of its own: a crowd of the least urgent does not keep the most urgent out', () => {
    for (let count = 0; count < 100; count++) fixture.push({ level: 3 });
    fixture.push();
    fixture.push();
    expect(thrownBy(() => fixture.push()).message).toBe(
      'Exceeds maximum queue size: 2 requests of priority 1 wait (max_queue_size)',
    );
    fixture.push({ level: 2 });
    expect(fixture.queue.requests).toBe(103);
  });

  test('an urgent request goes first, whenever it came', () => {
    const low = fixture.push({ level: 3 });
    const middle = fixture.push({ level: 2 });
    const urgent = fixture.push({ level: 1 });
    expect(fixture.order()).toEqual([urgent, middle, low]);
  });

  test('a postponed request keeps its place in the count, and stands behind what comes later, at whatever level', () => {
    const [first, second] = [fixture.push(), fixture.push()];
    expect(fixture.queue.postpone(first)).toBe(true);
    expect(first.tag).toBe(LAST_TAG);
    expect(() => fixture.push()).toThrow('2 requests of priority 1 wait');
    const third = fixture.push({ level: 3 });
    expect(fixture.order()).toEqual([second, third, first]);
    fixture.queue.send([first]);
    expect(fixture.queue.postpone(first)).toBe(false);
  });
});
