import { expect, test } from 'vitest';
import { publishedOf } from '../../src/compare/published.ts';
import type { ModelReport, Report } from '../../src/compare/report.ts';
import { PUBLISHED } from '../../src/gateway/repository/version-report.ts';

const SHA = 'a'.repeat(64);

function publish(p50Ms: number, p99Ms: number) {
  const latency = (p50: number, p99: number) => ({ runs: 100, p50Ms: p50, p99Ms: p99 });
  const quality = { rows: 90, failed: 10, agreement: 0.99, maxAbs: 0.5 };
  const candidate = { name: 'int8', sha256: 'b'.repeat(64), quality, latency: latency(p50Ms, p99Ms) };
  const report = { base: { sha256: SHA, latency: latency(2, 4) }, model: { version: '3' } };
  return publishedOf(candidate as unknown as ModelReport, report as unknown as Report, '4');
}

test('a published version promises what its candidate was measured to do, in the form that rollouts read', () => {
  const published = publish(1, 3);
  expect(PUBLISHED.parse(published)).toEqual(published);
  expect(published).toMatchObject({ candidate: 'int8', version: '4', base: { version: '3', sha256: SHA } });
  expect(published.expect).toEqual({
    rows: 90,
    agreement: 0.99,
    maxAbs: 0.5,
    errorRate: 0.1,
    latencyRatio: 0.5,
    p99Ratio: 0.75,
  });
});

test('a time of 0, which is below the resolution of the clock, promises an equal time', () => {
  expect(publish(0, 0).expect).toMatchObject({ latencyRatio: 1, p99Ratio: 1 });
});
