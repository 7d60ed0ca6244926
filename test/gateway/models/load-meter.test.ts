import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { Occupancy } from '../../../src/gateway/batch/occupancy.ts';
import type { StatusName } from '../../../src/gateway/errors.ts';
import { LoadMeter } from '../../../src/gateway/models/load-meter.ts';
import { diagnostics } from '../../../src/gateway/ops/diagnostics.ts';
import { inferenceEnded } from '../ops/fake-events.ts';

/** A replica whose clock is moved by hand. */
class Replica {
  now = 0;
  readonly models: Occupancy[];
  readonly meter: LoadMeter;

  constructor(...capacities: number[]) {
    this.models = capacities.map((capacity) => new Occupancy(capacity, 0));
    this.meter = new LoadMeter(
      () => this.models,
      () => this.now,
    );
  }

  /** Requests of one row, one after the other, and then some idle time. */
  serve(model: number, { requests, ms, idleMs = 0, status = 'OK' as StatusName }: Served): void {
    for (let i = 0; i < requests; i++) {
      this.models[model]!.enter(1, this.now);
      this.now += ms;
      this.models[model]!.leave(1, this.now);
      end(status);
    }
    this.now += idleMs;
  }
}

interface Served {
  readonly requests: number;
  readonly ms: number;
  readonly idleMs?: number;
  readonly status?: StatusName;
}

function end(status: StatusName): void {
  diagnostics.inferenceEnded.publish(inferenceEnded({ status }));
}

let replica: Replica | undefined;

function of(...capacities: number[]): Replica {
  replica = new Replica(...capacities);
  return replica;
}

afterEach(() => replica?.meter[Symbol.dispose]());

describe('a report', () => {
  test('is there from the first answer on: Envoy would drop one without a rate', () => {
    const { meter } = of(4);
    replica!.now = 500;
    expect(meter.report).toBeUndefined();
    replica!.serve(0, { requests: 1, ms: 10 });
    expect(meter.report?.rpsFractional).toBeGreaterThan(0);
    expect(meter.report?.applicationUtilization).toBeGreaterThan(0);
  });

  test('is the same object for 100 ms, and another one then', () => {
    const { meter } = of(4);
    replica!.serve(0, { requests: 1, ms: 10 });
    const first = meter.report;
    replica!.now += 99;
    expect(meter.report).toBe(first);
    replica!.now += 1;
    expect(meter.report).not.toBe(first);
  });

  test('reports rate and utilization of a steady load', () => {
    const { meter } = of(4);
    // 50 requests a second of 10 ms: half of the time one row of the four is taken.
    for (let i = 0; i < 500; i++) {
      replica!.serve(0, { requests: 1, ms: 10, idleMs: 10 });
      meter.report;
    }
    expect(meter.report?.rpsFractional).toBeCloseTo(50, 0);
    expect(meter.report?.applicationUtilization).toBeCloseTo(0.125, 2);
    expect(meter.report?.eps).toBe(0);
  });

  test('forgets requests older than half a minute', () => {
    const { meter } = of(1);
    for (let i = 0; i < 1_000; i++) {
      replica!.serve(0, { requests: 1, ms: 10 });
      meter.report;
    }
    expect(meter.report?.applicationUtilization).toBeCloseTo(1, 2);
    replica!.now += 30_000;
    expect(meter.report?.applicationUtilization).toBeLessThan(0.01);
    expect(meter.report?.rpsFractional).toBeLessThan(1);
  });

  test('is of the last seconds, also for who has not asked for hours', () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const { meter } = of(1);
    const hours = (count: number, busy: boolean): void => {
      for (let second = 0; second < count * 3_600; second++) {
        if (busy) replica!.serve(0, { requests: 10, ms: 50, idleMs: 500 });
        else replica!.now += 1_000;
        vi.advanceTimersByTime(1_000);
      }
    };
    hours(2, false);
    hours(0.1, true);
    expect(meter.report?.rpsFractional).toBeCloseTo(10, 5);
    expect(meter.report?.applicationUtilization).toBeCloseTo(0.5, 5);
    vi.useRealTimers();
  });

  test('sees work that hangs, although nothing is answered', () => {
    const { meter } = of(2);
    replica!.serve(0, { requests: 10, ms: 1, idleMs: 1_000 });
    meter.report;
    replica!.models[0]!.enter(2, replica!.now);
    replica!.now += 20_000;
    expect(meter.report?.applicationUtilization).toBeGreaterThan(0.95);
  });

  test('passes 1 where more waits than fits', () => {
    const { meter } = of(2);
    replica!.models[0]!.enter(6, 0);
    replica!.now = 1_000;
    end('OK');
    expect(meter.report?.applicationUtilization).toBeCloseTo(3, 5);
  });

  test('is the report of the fullest model', () => {
    const { meter } = of(10, 2);
    replica!.models[0]!.enter(2, 0);
    replica!.models[1]!.enter(1, 0);
    replica!.now = 1_000;
    end('OK');
    expect(meter.report?.applicationUtilization).toBeCloseTo(0.5, 5);
  });

  test('follows a model that is replaced', () => {
    const { meter, models } = of(1);
    replica!.serve(0, { requests: 100, ms: 10 });
    meter.report;
    models[0] = new Occupancy(1, replica!.now);
    models[0].enter(1, replica!.now);
    replica!.now += 1_000;
    expect(meter.report?.applicationUtilization).toBeCloseTo(1, 5);
  });
});

describe('counts', () => {
  test.each<[StatusName, boolean, boolean]>([
    ['OK', true, false],
    ['INTERNAL', true, true],
    ['UNAVAILABLE', true, true],
    ['INVALID_ARGUMENT', false, false],
    ['NOT_FOUND', false, false],
    // Shed requests cost nothing: counted, they would make the replica that sheds most look strongest.
    ['RESOURCE_EXHAUSTED', false, false],
    ['DEADLINE_EXCEEDED', false, false],
    ['CANCELLED', false, false],
  ])('%s as a request: %s; as an error: %s', (status, isRequest, isError) => {
    const { meter } = of(1);
    end('OK');
    replica!.now = 1_000;
    meter.report;
    for (let i = 0; i < 100; i++) end(status);
    replica!.now = 2_000;
    expect((meter.report?.rpsFractional ?? 0) > 10).toBe(isRequest);
    expect((meter.report?.eps ?? 0) > 10).toBe(isError);
  });

  test('the weight of a replica does not depend on how much traffic it has', () => {
    const load = fc.record({ ms: fc.integer({ min: 1, max: 50 }), idleMs: fc.nat(2_000) });
    fc.assert(
      fc.property(load, ({ ms, idleMs }) => {
        const { meter } = of(8);
        for (let i = 0; i < 50; i++) {
          replica!.serve(0, { requests: 1, ms, idleMs });
          meter.report;
        }
        replica!.now += 100;
        const { rpsFractional = 0, applicationUtilization = 1 } = meter.report ?? {};
        replica!.meter[Symbol.dispose]();
        // Rows of capacity over the row-seconds of a request.
        expect(rpsFractional / applicationUtilization / (8 / (ms / 1_000))).toBeCloseTo(1, 5);
      }),
    );
  });
});
