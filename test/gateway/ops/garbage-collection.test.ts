import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fullPercent } from '../../../src/gateway/ops/garbage-collection.ts';

const MIB = 2 ** 20;

test('new objects are collected at a quarter of a large space, and not before 4 MiB of them are there', () => {
  expect(fullPercent(64 * MIB)).toBe(25);
  expect(fullPercent(16 * MIB)).toBe(25);
  expect(fullPercent(8 * MIB)).toBe(50);
  expect(fullPercent(MIB)).toBe(80);
});

test('at most four fifths of a space of any size are full when its objects are collected', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 256 * MIB }), (bytes) => {
      const percent = fullPercent(bytes);
      expect(percent).toBeGreaterThanOrEqual(25);
      expect(percent).toBeLessThanOrEqual(80);
      if (percent < 80) expect((percent * bytes) / 100).toBeGreaterThanOrEqual(4 * MIB);
    }),
  );
});

/** Makes objects that live no longer than a turn of the event loop, and prints how often V8 collected new ones. */
const SHORT_LIVED = `
  import { PerformanceObserver } from 'node:perf_hooks';
  const garbage = await import(process.argv[1]);
  if (process.argv[2] === 'tuned') garbage.tuneCollections();
  else (await import('node:v8')).setFlagsFromString('--minor-gc-task-trigger=25');
  let collections = 0;
  const observer = new PerformanceObserver((list) => (collections += list.getEntries().length));
  observer.observe({ entryTypes: ['gc'] });
  let kept;
  for (let turn = 0; turn < 4_000; turn++) {
    for (let index = 0; index < 1_000; index++) kept = { index, turn, more: [index] };
    await new Promise(setImmediate);
  }
  console.log(collections + observer.takeRecords().length + (kept === undefined ? 1 : 0));
`;

test('a process whose objects do not survive collects them less than two thirds as often as at a quarter of its space', async () => {
  const module = new URL('../../../src/gateway/ops/garbage-collection.ts', import.meta.url).href;
  const collections = async (how: 'tuned' | 'early'): Promise<number> => {
    const args = ['--input-type=module', '-e', SHORT_LIVED, module, how];
    return Number((await promisify(execFile)(process.execPath, args)).stdout);
  };
  // Half as often: 259 and 483 to 538 times, in 36 runs.
  expect(await collections('tuned')).toBeLessThan((2 / 3) * (await collections('early')));
});
