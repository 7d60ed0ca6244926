import { expect, test } from 'vitest';
import {
  parseDuration,
  parseLevels,
  parsePercentile,
  parseTime,
  parseWholeLevels,
} from '../../../src/cli/bench/level-values.ts';

test.each([
  ['100', [100]],
  ['50,10,50', [10, 50]],
  ['1:64', [1, 2, 4, 8, 16, 32, 64]],
  ['100:2000', [100, 200, 400, 800, 1600, 2000]],
  ['10:35:10', [10, 20, 30, 35]],
  ['8:8', [8]],
  ['2.5', [2.5]],
])('levels %j are %j', (text, levels) => {
  expect(parseLevels(text)).toEqual(levels);
});

test.each(['', '0', '-1', '1:', '64:1', '1:2:3:4', '1:8,9', 'many', '1:10:0', '1e9', '1:1000:1'])(
  'levels %j are refused',
  (text) => {
    expect(() => parseLevels(text)).toThrow(/Expected 100|at most 64/);
  },
);

test('calls under way are whole numbers', () => {
  expect(() => parseWholeLevels('1.5')).toThrow('whole numbers');
});

test.each([
  ['50ms', 50],
  ['10s', 10_000],
  ['1.5s', 1_500],
  ['2m', 120_000],
  ['0s', 0],
])('%s is %d ms', (text, ms) => {
  expect(parseDuration(text)).toBe(ms);
});

test.each(['50', '10 s', '-1s', '1h', 's'])('the time %j is refused', (text) => {
  expect(() => parseDuration(text)).toThrow('Expected a time with a unit, such as 50ms, 10s or 1m.');
});

test('a level takes some time, and a percentile is above 0 and up to 100', () => {
  expect(() => parseTime('0s')).toThrow('above 0');
  expect(parsePercentile('99.9')).toBeCloseTo(0.999);
  expect(() => parsePercentile('0')).toThrow('such as 99');
  expect(() => parsePercentile('101')).toThrow('such as 99');
});
