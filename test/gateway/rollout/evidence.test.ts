import { describe, expect, test } from 'vitest';
import type { ShadowEnded } from '../../../src/gateway/ops/diagnostics.ts';
import { CopyLedger, RequestLedger } from '../../../src/gateway/rollout/evidence.ts';

type Compared = Extract<ShadowEnded['outcome'], { kind: 'compared' }>;

function compared(fields: Partial<Compared>): Compared {
  return {
    kind: 'compared',
    result: 'different',
    absolute: 0,
    relative: 0,
    rowsAgreeing: 0,
    rowsDisagreeing: 0,
    primaryMs: 1,
    shadowMs: 1,
    ...fields,
  };
}

function ledger(outcomes: readonly ShadowEnded['outcome'][], maxDifference?: number): CopyLedger {
  const copies = new CopyLedger(maxDifference);
  for (const outcome of outcomes) copies.record(outcome);
  return copies;
}

describe('copies agree', () => {
  test('row by row, by the place of the largest element', () => {
    const seen = [
      compared({ rowsAgreeing: 3, rowsDisagreeing: 1, absolute: 9 }),
      compared({ rowsAgreeing: 1, absolute: 2 }),
    ];
    expect(ledger(seen)).toMatchObject({ compared: 2, agreeing: 4, disagreeing: 1, maxAbsolute: 9 });
  });

  test('as a whole, within a difference, where that is asked for', () => {
    const seen = [compared({ rowsAgreeing: 4, absolute: 0.3 }), compared({ rowsDisagreeing: 4, absolute: 0.1 })];
    expect(ledger(seen, 0.2)).toMatchObject({ compared: 2, agreeing: 1, disagreeing: 1 });
  });

  test('as a whole, where the outputs have no rows: equal, or close', () => {
    const seen = [
      compared({ result: 'equal' }),
      compared({ absolute: 5e-4 }),
      compared({ absolute: 0.01 }),
      // Elements that have no distance.
      compared({ absolute: 0 }),
      compared({ absolute: Number.POSITIVE_INFINITY }),
    ];
    expect(ledger(seen)).toMatchObject({ agreeing: 2, disagreeing: 3 });
  });

  test('never where one answer is of another kind', () => {
    expect(ledger([compared({ result: 'incomparable' })])).toMatchObject({
      compared: 1,
      incomparable: 1,
      agreeing: 0,
      disagreeing: 0,
    });
  });

  test('and fail, or are shed, which are counted separately', () => {
    const seen = [
      { kind: 'failed', reason: 'runner_lost' },
      { kind: 'failed', reason: 'cancelled' },
      { kind: 'shed', cause: 'shadow_busy' },
    ] as const;
    expect(ledger(seen)).toMatchObject({ compared: 0, failed: 1, shed: 1, lastFailure: 'runner_lost' });
  });
});

test('requests that fail for the fault of the caller count neither as answered nor as failed', () => {
  const requests = new RequestLedger();
  for (const reason of [
    undefined,
    'invalid_request',
    'cancelled',
    'internal',
    'queue_full',
    'limit_exceeded',
    undefined,
  ] as const) {
    requests.record({ reason, durationMs: 3 }, 0);
  }
  expect(requests).toMatchObject({ failed: 2, lastFailure: 'queue_full' });
  expect(requests.latencies.count).toBe(2);
});
