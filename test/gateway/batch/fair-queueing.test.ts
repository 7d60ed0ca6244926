import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FairQueueing, type Flow, type FlowKey } from '../../../src/gateway/batch/fair-queueing.ts';

function key(fields: Partial<FlowKey> = {}): FlowKey {
  return { tenant: 'a', weight: 1, level: 1, grantedMs: 100, isNamed: true, ...fields };
}

/** Sends the work of flows that always have more to do, always of the flow that finishes next; returns what each was sent. */
function serve(flows: readonly { readonly key: FlowKey; readonly workMs: number }[], sends: number): number[] {
  const fair = new FairQueueing();
  const waiting = flows.map(({ key, workMs }) => ({ flow: fair.flowOf(key), share: { bytes: 1, workMs }, sentMs: 0 }));
  // Two of each: a flow never stops waiting.
  for (const { flow, share } of [...waiting, ...waiting]) fair.enter(flow, share);
  for (let count = 0; count < sends; count++) {
    const finish = ({ flow, share }: (typeof waiting)[number]): number => flow.start + share.workMs * flow.pace;
    const next = waiting.reduce((best, other) => (finish(other) < finish(best) ? other : best));
    fair.enter(next.flow, next.share);
    fair.send(next.flow, next.share);
    next.sentMs += next.share.workMs;
  }
  return waiting.map(({ sentMs }) => sentMs);
}

const work = fc.double({ min: 0.1, max: 50, noNaN: true });

describe('flows that wait all the time', () => {
  test('FAIR-1: tenants are sent work in proportion to their weights, to within a request of each', () => {
    const tenants = fc.array(fc.record({ weight: fc.double({ min: 0.25, max: 8, noNaN: true }), workMs: work }), {
      minLength: 2,
      maxLength: 6,
    });
    fc.assert(
      fc.property(tenants, (made) => {
        const flows = made.map(({ weight, workMs }, index) => ({ key: key({ tenant: `${index}`, weight }), workMs }));
        const sent = serve(flows, 400);
        const shares = sent.map((ms, index) => ms / (made[index]?.weight ?? 1));
        const slack = Math.max(...made.map(({ weight, workMs }) => workMs / weight));
        expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(2 * slack + 1e-6);
      }),
    );
  });

  test('FAIR-3: a tenant that asks with several times granted gets no more than one that asks with one', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 5 }), work, work, (classes, many, one) => {
        const flows = [
          ...Array.from({ length: classes }, (_, index) => ({ key: key({ grantedMs: 4 ** index }), workMs: many })),
          { key: key({ tenant: 'b' }), workMs: one },
        ];
        const sent = serve(flows, 800);
        const ofOne = sent.at(-1) ?? 0;
        const ofMany = sent.reduce((sum, ms) => sum + ms, 0) - ofOne;
        expect(Math.abs(ofMany - ofOne)).toBeLessThanOrEqual(2 * (classes * many + one));
      }),
    );
  });

  test('a level gets sixteen times the work of the next', () => {
    const [first = 0, second = 0, third = 0] = serve(
      [1, 2, 3].map((level) => ({ key: key({ level }), workMs: 1 })),
      27_300,
    );
    expect(first / second).toBeCloseTo(16, 0);
    expect(second / third).toBeCloseTo(16, 0);
  });
});

describe('unsent work', () => {
  test('FAIR-2: charges nothing: shed, refused or cancelled, the next one stands where it stood', () => {
    fc.assert(
      fc.property(fc.array(work, { minLength: 1, maxLength: 20 }), (shed) => {
        const fair = new FairQueueing();
        const flow = fair.flowOf(key());
        fair.enter(flow, { bytes: 1, workMs: 1 });
        for (const workMs of shed) fair.enter(flow, { bytes: 1, workMs });
        const { start } = flow;
        for (const workMs of shed) fair.leave(flow, { bytes: 1, workMs });
        expect(flow.start).toBe(start);
        expect([flow.requests, flow.bytes]).toEqual([1, 1]);
        expect(flow.workMs).toBeCloseTo(1, 6);
      }),
    );
  });
});

describe('a flow that begins to wait', () => {
  test('owes nothing for what others were sent before, and is owed at most 25 ms of it', () => {
    const fair = new FairQueueing();
    const [old, young] = [fair.flowOf(key({ tenant: 'old' })), fair.flowOf(key({ tenant: 'young' }))];
    for (let count = 0; count < 101; count++) fair.enter(old, { bytes: 1, workMs: 10 });
    for (let count = 0; count < 100; count++) fair.send(old, { bytes: 1, workMs: 10 });
    fair.enter(young, { bytes: 1, workMs: 10 });
    // The last that was sent started at 990.
    expect([young.start, old.start]).toEqual([965, 1_000]);
  });

  test('is owed no more when it comes back than it did not use meanwhile', () => {
    const fair = new FairQueueing();
    const [busy, quiet] = [fair.flowOf(key({ tenant: 'busy' })), fair.flowOf(key({ tenant: 'quiet' }))];
    const work = { bytes: 1, workMs: 10 };
    for (let count = 0; count < 101; count++) fair.enter(busy, work);
    for (let count = 0; count < 3; count++) {
      fair.enter(quiet, work);
      fair.send(quiet, work);
    }
    for (let count = 0; count < 4; count++) fair.send(busy, work);
    fair.enter(quiet, work);
    // It was sent 30 ms of work; the last of the other one started at 30.
    expect(quiet.start).toBe(30);
    for (let count = 4; count < 100; count++) fair.send(busy, work);
    fair.leave(quiet, work);
    fair.enter(quiet, work);
    expect(quiet.start).toBe(965);
  });

  test('begins at nothing again when nothing waited', () => {
    const fair = new FairQueueing();
    const flow = fair.flowOf(key());
    for (let count = 0; count < 3; count++) {
      fair.enter(flow, { bytes: 1, workMs: 5 });
      expect(flow.start).toBe(0);
      fair.send(flow, { bytes: 1, workMs: 5 });
    }
  });

  test('is the same flow for each request of about the same time, and another for callers who named none', () => {
    const fair = new FairQueueing();
    const flows = [
      key({ grantedMs: 65 }),
      key({ grantedMs: 127 }),
      key({ grantedMs: 129 }),
      key({ grantedMs: 127, isNamed: false }),
      key({ grantedMs: 65, level: 2 }),
      key({ grantedMs: 65, tenant: 'b' }),
    ].map((each) => fair.flowOf(each));
    expect(flows[1]).toBe(flows[0]);
    expect(new Set(flows).size).toBe(5);
  });
});

describe('the work that goes before a request', () => {
  test('is the work that is sent before it, where nothing else comes', () => {
    const tenants = fc.array(
      fc.record({ weight: fc.constantFrom(1, 2, 4), requests: fc.integer({ min: 1, max: 30 }) }),
      {
        minLength: 2,
        maxLength: 5,
      },
    );
    fc.assert(
      fc.property(tenants, (made) => {
        const fair = new FairQueueing();
        const flows = made.map(({ weight, requests }, index) => {
          const flow = fair.flowOf(key({ tenant: `${index}`, weight }));
          for (let count = 0; count < requests; count++) fair.enter(flow, { bytes: 1, workMs: 1 });
          return flow;
        });
        const [mine] = flows as [Flow];
        const predicted = fair.workBefore(mine, mine.workMs);
        let sent = 0;
        while (mine.requests > 0) {
          const waiting = flows.filter(({ requests }) => requests > 0);
          const next = waiting.reduce((best, other) =>
            other.start + other.pace < best.start + best.pace ? other : best,
          );
          fair.send(next, { bytes: 1, workMs: 1 });
          sent++;
        }
        expect(Math.abs(predicted - sent)).toBeLessThanOrEqual(2 * made.length);
      }),
    );
  });

  test('callers who invent tenants are forgotten when they neither wait nor owe', () => {
    const fair = new FairQueueing();
    const patient = fair.flowOf(key({ tenant: 'patient' }));
    fair.enter(patient, { bytes: 1, workMs: 1 });
    const first = fair.flowOf(key({ tenant: 'name 0' }));
    for (let name = 0; name < 1_000; name++) {
      const flow = fair.flowOf(key({ tenant: `name ${name}` }));
      fair.enter(flow, { bytes: 1, workMs: 1 });
      fair.leave(flow, { bytes: 1, workMs: 1 });
    }
    expect(fair.flowOf(key({ tenant: 'patient' }))).toBe(patient);
    expect(fair.flowOf(key({ tenant: 'name 0' }))).not.toBe(first);
  });
});
