import { expect, test } from 'vitest';
import { METRICS } from '../../../src/gateway/ops/metric-definitions.ts';
import { documentMetrics } from '../../../src/gateway/ops/metrics-document.ts';

test('docs/metrics.md says what the metrics are (run with --update to write it)', async () => {
  await expect(documentMetrics()).toMatchFileSnapshot('../../../docs/metrics.md');
});

test('every name in a query of the document is a series that exists', () => {
  const histograms = Object.entries(METRICS).filter(([, { kind }]) => kind === 'histogram');
  const series = new Set([
    ...Object.keys(METRICS),
    ...histograms.flatMap(([name]) => [`${name}_bucket`, `${name}_sum`, `${name}_count`]),
  ]);
  const named = documentMetrics().match(/tensorgate_\w+/g) ?? [];
  expect(named.filter((name) => !series.has(name))).toEqual([]);
});
