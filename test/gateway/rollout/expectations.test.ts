import { describe, expect, test } from 'vitest';
import type { Published } from '../../../src/gateway/repository/version-report.ts';
import { expectedLimits } from '../../../src/gateway/rollout/expectations.ts';

const PUBLISHED: Published = {
  candidate: 'int8',
  version: '2',
  sha256: 'a'.repeat(64),
  base: { version: '1', sha256: 'b'.repeat(64) },
  expect: { rows: 10_000, agreement: 0.997, maxAbs: 0.035, errorRate: 0, latencyRatio: 0.3, p99Ratio: 0.33 },
};

function limitsFor(expected: Partial<Published['expect']>) {
  return expectedLimits({ ...PUBLISHED, expect: { ...PUBLISHED.expect, ...expected } }, '1').limits;
}

describe('what a report lets expect', () => {
  test('is allowed three times over', () => {
    const { limits, source } = expectedLimits(PUBLISHED, '1');
    expect(limits.minAgreement).toBeCloseTo(0.991, 9);
    expect(limits).toMatchObject({ maxErrorRate: 0.01, maxP99Ratio: 1.5 });
    expect(source).toBe(
      'the report.json of the version: 99.7 % agreed over 10000 rows, so three times as much disagreement is allowed',
    );
  });

  test('is not more than its few rows prove', () => {
    expect(limitsFor({ rows: 60, agreement: 1 }).minAgreement).toBeCloseTo(0.95, 9);
    expect(limitsFor({ rows: 2, agreement: 1 }).minAgreement).toBe(0);
    expect(limitsFor({ agreement: 0.5 }).minAgreement).toBe(0);
  });

  test('includes a slower version, or one that fails at times', () => {
    expect(limitsFor({ p99Ratio: 2 }).maxP99Ratio).toBe(3);
    expect(limitsFor({ errorRate: 0.01 }).maxErrorRate).toBeCloseTo(0.04, 9);
    expect(limitsFor({ errorRate: 1 }).maxErrorRate).toBe(1);
  });

  test('is nothing beside another version, or without a report', () => {
    expect(expectedLimits(PUBLISHED, '3')).toMatchObject({
      limits: { minAgreement: 0.99 },
      source: 'the defaults: the report.json of the version compares it with version 1, not 3',
    });
    expect(expectedLimits(undefined, '1').source).toBe('the defaults: the version has no report.json');
  });
});
