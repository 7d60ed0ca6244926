import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chooseBatch } from '../../../src/gateway/batch/batch-choice.ts';
import type { BatchPolicy, Bucket, Waiting } from '../../../src/gateway/batch/waiting.ts';
import { bucket, flowOf, isHopeless, NOW, request, rowsOf } from '../../support/waiting.ts';

const POLICY: BatchPolicy = { maxRows: 64, maxDelayMs: 0, preferredRows: [] };
const GPU = (rows: number): number => 1.9 + 0.14 * rows;
/** Like `GPU`, in eighths: sums of it are the same in any order, to the last bit. */
const EXACT = (rows: number): number => 1.875 + 0.125 * rows;

/** A request that has `leftMs` of `grantedMs` left. */
function pressed(leftMs: number, grantedMs: number, fields: Partial<Waiting> = {}): Waiting {
  return request({ rows: 1, arrivalMs: NOW + leftMs - grantedMs, deadline: NOW + leftMs, ...fields });
}

/** Requests of one flow that came evenly over the time that they are granted, but for the last one's own run. */
function backlog(count: number, grantedMs: number, fields: Partial<Waiting> = {}): Waiting[] {
  const span = grantedMs - GPU(1);
  return Array.from({ length: count }, (_, at) => pressed(GPU(1) + ((at + 0.5) * span) / count, grantedMs, fields));
}

function choose(requests: readonly Waiting[], predict: Bucket['predict'] = GPU): readonly Waiting[] {
  return chooseBatch({ waiting: requests, predict }, POLICY, 1, NOW).requests;
}

describe('under overload', () => {
  test('the oldest are passed over for a full batch, which they would keep small', () => {
    const requests = backlog(150, 25);
    const chosen = choose(requests);
    expect(chosen.length).toBeGreaterThan(50);
    expect(requests.indexOf(chosen[0] ?? pressed(0, 0))).toBeGreaterThan(20);
  });

  test('however many wait that are late for it, a full batch is found behind them', () => {
    const chosen = choose(backlog(20_000, 25));
    expect(chosen.length).toBeGreaterThan(50);
  });

  test('no one is passed over for the sake of what may come, where two batches answer all', () => {
    const requests = [pressed(2.5, 25), ...Array.from({ length: 20 }, () => pressed(20, 25))];
    expect(choose(requests)).toEqual(requests.slice(0, 4));
  });

  test('patient callers do not crowd out a head that was granted little', () => {
    const head = pressed(5, 6, { tag: 0, flow: flowOf(1) });
    const crowd = backlog(200, 500).map((one, at) => ({ ...one, tag: 1 + at, flow: flowOf(2) }));
    expect(choose([head, ...crowd])).toContain(head);
  });

  test('what a flow passes over leaves its tags to its later requests', () => {
    // Three quarters of the impatient flow are nearly late; the tags of its fresh ones lie behind all of the patient flow's.
    const impatient = backlog(120, 25, { flow: flowOf(1) }).map((one, at) => ({ ...one, tag: at }));
    const patient = backlog(120, 100, { flow: flowOf(2), arrivalMs: NOW - 1, deadline: NOW + 99 });
    const mixed = [...impatient, ...patient.map((one, at) => ({ ...one, tag: at + 0.5 }))].sort(
      (a, b) => a.tag - b.tag,
    );
    const chosen = choose(mixed);
    const share = chosen.filter(({ flow }) => flow === flowOf(1)).length / chosen.length;
    expect(chosen.length).toBeGreaterThan(30);
    expect(share).toBeGreaterThan(0.4);
    expect(share).toBeLessThan(0.6);
  });

  test('urgent requests neither give way to less urgent ones nor keep their batch small', () => {
    const urgent = Array.from({ length: 4 }, () => pressed(40, 50, { level: 1, tag: 0 }));
    const normal = backlog(200, 50, { level: 2, tag: 1 });
    const chosen = choose([...urgent, ...normal]);
    expect(chosen).toEqual(expect.arrayContaining(urgent));
    expect(chosen.length).toBeGreaterThan(50);
  });

  test('a batch that could not be formed leaves a late request to run by itself', () => {
    const late = [pressed(1, 25), pressed(1, 25)];
    expect(choose(late)).toEqual(late.slice(0, 1));
  });

  test('requests of many rows are weighed by what they take', () => {
    const large = pressed(10, 25, { rows: 48 });
    const requests = [large, ...backlog(150, 25).filter(({ deadline }) => deadline > NOW + 11)];
    expect(rowsOf(choose(requests))).toBeGreaterThan(48);
  });
});

describe('a queue that is worked off', () => {
  /** Runs the waiting requests, batch after batch, and returns the requests that were answered in time. */
  function answered(requests: readonly Waiting[], predict: Bucket['predict']): Waiting[] {
    const inTime: Waiting[] = [];
    let left = [...requests];
    for (let at = NOW; ; ) {
      left = left.filter((one) => !isHopeless(one, { predict }, at));
      if (left.length === 0) return inTime;
      const { requests: chosen, rows } = chooseBatch({ waiting: left, predict }, POLICY, 1, at);
      left = left.filter((one) => !chosen.includes(one));
      at += predict(rows) ?? 0;
      inTime.push(...chosen.filter(({ deadline }) => deadline >= at));
    }
  }

  test('all are answered where each has time for the work of all', () => {
    const crowd = fc.array(fc.record({ rows: fc.integer({ min: 1, max: 64 }), extraMs: fc.nat(500) }), {
      maxLength: 80,
    });
    fc.assert(
      fc.property(crowd, (made) => {
        const enough = made.reduce((sum, { rows }) => sum + EXACT(rows), 0);
        const requests = made.map(({ rows, extraMs }) => pressed(enough + extraMs, enough + extraMs, { rows }));
        expect(answered(requests, EXACT)).toHaveLength(requests.length);
      }),
    );
  });

  test('flows that ask for more than there is share it about evenly, however unlike their patience', () => {
    for (const [hasty, patient] of [
      [25, 500],
      [12, 500],
      [50, 1_000],
    ] as const) {
      const shares = [0, 0];
      let queues: Waiting[][] = [[], []];
      const starts = [0, 0];
      let at = NOW;
      for (let next = NOW; at < NOW + 2_000; ) {
        // Twice what the instance can do, half of it of each kind.
        for (; next <= at; next += 64 / GPU(64) / 32) {
          for (const [kind, granted] of [hasty, patient].entries()) {
            queues[kind]?.push(request({ rows: 1, arrivalMs: next, deadline: next + granted, flow: flowOf(kind) }));
          }
        }
        queues = queues.map((queue) => queue.filter((one) => !isHopeless(one, { predict: GPU }, at)));
        const waits = queues
          .flatMap((queue, kind) => queue.map((one, place) => ({ ...one, tag: (starts[kind] ?? 0) + place, of: one })))
          .sort((a, b) => a.tag - b.tag);
        if (waits.length === 0) {
          at = next;
          continue;
        }
        const { requests, rows } = chooseBatch({ waiting: waits, predict: GPU }, POLICY, 1, at);
        at += GPU(rows);
        const sent = new Set(requests.map(({ of }) => of));
        queues = queues.map((queue) => queue.filter((one) => !sent.has(one)));
        for (const { flow } of requests) {
          const kind = flow === flowOf(0) ? 0 : 1;
          shares[kind] = (shares[kind] ?? 0) + 1;
          starts[kind] = (starts[kind] ?? 0) + 1;
        }
      }
      const capacity = (2_000 * 64) / GPU(64);
      expect(shares[0], `${hasty} ms`).toBeGreaterThan(0.8 * 0.5 * capacity * 0.8);
      expect(shares[1], `${patient} ms`).toBeGreaterThan(0.8 * 0.5 * capacity);
    }
  });
});

test('a batch is no larger than pays: a row of MiniLM at 128 tokens gets dearer beyond two', () => {
  const times = new Map([
    [1, 17.6],
    [2, 32],
    [4, 74],
    [8, 152],
    [16, 313.6],
  ]);
  const requests = Array.from({ length: 16 }, () => pressed(10_000, 10_000));
  const choice = chooseBatch(
    bucket(requests, (rows) => times.get(rows)),
    { ...POLICY, maxRows: 16 },
    1,
    NOW,
  );
  expect(choice).toMatchObject({ rows: 2, reason: 'full' });
});
