/** The short form of `npm run fuzz`: some seconds of it, from another seed in each run; `FUZZ_SEED` repeats one. */

import { afterEach, describe, expect, test, vi } from 'vitest';
import { ByteBudget } from '../../src/http2/byte-budget.ts';
import { FrameReader } from '../../src/http2/frame-reader.ts';
import { HpackEncoder } from '../../src/http2/hpack-encoder.ts';
import { HpackTable } from '../../src/http2/hpack-table.ts';
import { FuzzFailure, fuzz } from './fuzz.ts';
import { SESSIONS } from './session-case.ts';

const SEED = Number(process.env['FUZZ_SEED'] ?? Date.now() % 1_000_000);

test('the recorded sessions are there', () => {
  expect(SESSIONS.length).toBeGreaterThanOrEqual(6);
  for (const session of SESSIONS) expect(session.length).toBeGreaterThan(5);
});

test.each([
  ['sessions', 3_000],
  ['blocks of Node', 40],
  ['blocks of nobody', 200],
  ['calls', 40],
] as const)(`no case of ${SEED} fails: %s`, (kind, cases) => fuzz({ seed: SEED, from: 0, cases, kind }));

describe('a fault is found, and found again by its number,', () => {
  afterEach(() => vi.restoreAllMocks());

  test.each([
    [
      'bytes that are not given back',
      'sessions',
      () => vi.spyOn(ByteBudget.prototype, 'give').mockImplementation(() => undefined),
    ],
    [
      'a chunk of one byte that is lost',
      'sessions',
      () => {
        const push = FrameReader.prototype.push;
        vi.spyOn(FrameReader.prototype, 'push').mockImplementation(function (this: FrameReader, chunk) {
          if (chunk.length > 1 || chunk[0] !== 1) push.call(this, chunk);
        });
      },
    ],
    [
      'a table that does not shrink',
      'blocks of nobody',
      () => vi.spyOn(HpackTable.prototype, 'resize').mockImplementation(() => undefined),
    ],
    [
      'a table size that the encoder does not hear of',
      'calls',
      () => vi.spyOn(HpackEncoder.prototype, 'setTableSize').mockImplementation(() => undefined),
    ],
    [
      'an entry that is lost',
      'blocks of Node',
      () => {
        const add = HpackTable.prototype.add;
        vi.spyOn(HpackTable.prototype, 'add').mockImplementation(function (this: HpackTable, field) {
          if (field.name !== 'x-3') add.call(this, field);
        });
      },
    ],
  ] as const)('such as %s', async (_, kind, plant) => {
    plant();
    const failure = await fuzz({ seed: 1, from: 0, cases: 2_000, kind }).catch((thrown: unknown) => thrown);
    expect(failure).toBeInstanceOf(FuzzFailure);
    const { number } = failure as FuzzFailure;
    const again = fuzz({ seed: 1, from: number, cases: 1, kind });
    await expect(again).rejects.toThrow(`--kind '${kind}' --seed 1 --from ${number} --cases 1`);
  });
});
