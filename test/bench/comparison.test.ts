import { expect, test } from 'vitest';
import { compareResults } from '../../src/bench/comparison.ts';
import type { BenchResult, LevelResult } from '../../src/bench/result.ts';

/** A level whose fifths vary by so much around its figures. */
function levelOf(ratePerS: number, p50: number, variation: number): LevelResult {
  const around = (value: number) => ({ min: value * (1 - variation), max: value * (1 + variation) });
  return {
    ...{ ratePerS, calls: 100, answered: 100, failures: {}, answeredPerS: 10 },
    latencyMs: { mean: p50, p50, p90: p50, p95: p50, p99: 2 * p50, p999: 2 * p50, max: 2 * p50 },
    spread: { p50Ms: around(p50), p99Ms: around(2 * p50), answeredPerS: around(10) },
    client: { processes: 1, loopBusy: 0.1, cpu: 0.1, lagP99Ms: 0, lateShare: 0 },
  };
}

function resultOf(levels: readonly LevelResult[], node = '24.0.0'): BenchResult {
  return {
    ...{ schema: 'tensorgate.bench/1', tensorgate: '0', created: '2026-01-01T00:00:00.000Z', command: 'bench' },
    ...{ model: 'm', version: '', url: 'a:1', protocol: 'grpc', arrivals: 'poisson', slo: null },
    ...{ durationMs: 1_000, warmUpMs: 0, deadlineMs: 1_000, data: { source: 'rows', rows: 1 } },
    machine: { cpu: 'cpu', cores: 2, system: 'Linux', node },
    levels: [...levels],
  };
}

const verdicts = (before: LevelResult, now: LevelResult) =>
  compareResults(resultOf([before]), resultOf([now]), 'before.json').levels[0]?.figures.map(
    ({ name, verdict }) => `${name} ${verdict}`,
  );

test('a latency that grew beyond what it varies by is worse, and one that fell is better', () => {
  expect(verdicts(levelOf(100, 10, 0.05), levelOf(100, 15, 0.05))).toEqual([
    'p50 ms worse',
    'p99 ms worse',
    'answered/s same',
  ]);
  expect(verdicts(levelOf(100, 15, 0.05), levelOf(100, 10, 0.05))).toContain('p99 ms better');
});

test('a change is noise if the fifths of the two levels overlap, or if it is below a tenth', () => {
  expect(verdicts(levelOf(100, 10, 0.3), levelOf(100, 15, 0.3))).toContain('p50 ms same');
  expect(verdicts(levelOf(100, 10, 0.001), levelOf(100, 10.9, 0.001))).toContain('p50 ms same');
});

test('a level without latency is not judged by it', () => {
  const busy: LevelResult = { ...levelOf(100, 15, 0), latencyMs: null };
  expect(verdicts(levelOf(100, 10, 0), busy)).toEqual(['answered/s same']);
});

test('only levels that both results have are compared, and other machines are named', () => {
  const before = resultOf([levelOf(100, 10, 0), levelOf(200, 10, 0)], '22.0.0');
  const comparison = compareResults(before, resultOf([levelOf(100, 30, 0), levelOf(400, 10, 0)]), 'before.json');
  expect(comparison).toMatchObject({ regressions: 2, differences: ['Node: 22.0.0 before, 24.0.0 now'] });
  expect(comparison.levels.map(({ ratePerS }) => ratePerS)).toEqual([100]);
});
