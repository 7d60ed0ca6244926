import { expect, test } from 'vitest';
import { ShadowLedger } from '../../../src/gateway/rollout/shadow-ledger.ts';

const SHED = { kind: 'shed', cause: 'no_room' } as const;

test('observed pairs are listed by model, then by versions as numbers', () => {
  const ledger = new ShadowLedger();
  ledger.record({ model: 'b', primary: '10', shadow: '2', outcome: SHED });
  ledger.record({ model: 'b', primary: '9', shadow: '2', outcome: SHED });
  ledger.record({ model: 'a', primary: '1', shadow: '2', outcome: { kind: 'failed', reason: 'internal' } });
  ledger.record({ model: 'b', primary: '9', shadow: '2', outcome: SHED });
  expect(ledger.accounts('').map(({ model, primary }) => `${model} ${primary}`)).toEqual(['a 1', 'b 9', 'b 10']);
  expect(ledger.accounts('b')[0]?.shed).toEqual(new Map([['no_room', 2]]));
  expect(ledger.accounts('c')).toEqual([]);
});

test('however many pairs of versions there were, a bounded number is remembered', () => {
  const ledger = new ShadowLedger();
  for (let version = 1; version <= 1_000; version++) {
    ledger.record({ model: 'm', primary: String(version), shadow: '0', outcome: SHED });
  }
  const accounts = ledger.accounts('');
  expect(accounts).toHaveLength(256);
  expect(accounts.at(-1)?.primary).toBe('1000');
});
