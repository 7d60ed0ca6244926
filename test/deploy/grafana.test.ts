import fs from 'node:fs';
import { expect, test } from 'vitest';
import { DASHBOARD_FILE, dashboard } from '../../deploy/grafana/dashboard.ts';
import { ROWS } from '../../deploy/grafana/rows.ts';
import { askedOf, groupedBy, type RecordedSeries, syntaxFaults, unknownIn } from '../../deploy/lint/rules/queries.ts';
import { METRICS } from '../../src/gateway/ops/metric-definitions.ts';
import { RULES } from './recorded-rules.ts';

const QUERIES = ROWS.flatMap(({ panels }) =>
  panels.flatMap(({ title, queries }) => queries.map(({ expr, legend }) => ({ title, expr, legend }))),
);
const RECORDED: RecordedSeries = new Map(
  RULES.flatMap(({ record, expr }) =>
    record === undefined ? [] : [[record, groupedBy(expr).filter((label) => label !== 'le')] as const],
  ),
);

test('deploy/grafana/tensorgate.json is made from the metrics as they are (npm run grafana writes it)', () => {
  expect(fs.readFileSync(DASHBOARD_FILE, 'utf8')).toBe(dashboard());
});

test('every query of the dashboard is PromQL, and asks for series, labels and values that exist', () => {
  expect(QUERIES.length).toBeGreaterThan(40);
  const faults = QUERIES.flatMap(({ title, expr }) =>
    // Prometheus never sees the variable of Grafana.
    [...syntaxFaults(expr.replaceAll('$__rate_interval', '5m')), ...unknownIn(expr, RECORDED)].map(
      (fault) => `${title}: ${fault}`,
    ),
  );
  expect(faults).toEqual([]);
});

test('a query for a series, a label or a value that does not exist is found', () => {
  expect(unknownIn('rate(tensorgate_request_total[5m])', RECORDED)).toEqual([
    'the gateway has no series tensorgate_request_total',
  ]);
  expect(unknownIn('sum by (tenant) (tensorgate_queue_depth{limit="x"})', RECORDED)).toEqual([
    'tensorgate_queue_depth has no label limit',
    'it groups by tenant, which is a label of none of its series',
  ]);
  expect(unknownIn('tensorgate_requests_total{status="OKAY"}', RECORDED)).toEqual(['the label status is never OKAY']);
  expect(unknownIn('tensorgate:requests:rate9m', RECORDED)).toEqual(['no rule records tensorgate:requests:rate9m']);
});

test('every label in a legend is one that the query leaves', () => {
  const faults = QUERIES.flatMap(({ title, expr, legend }) => {
    const grouped = groupedBy(expr);
    const metrics: Readonly<Record<string, { readonly labels: readonly string[] }>> = METRICS;
    const own = askedOf(expr).flatMap(({ metric }) => [
      ...(metrics[metric.replace(/_(bucket|sum|count)$/, '')]?.labels ?? []),
      ...(RECORDED.get(metric) ?? []),
    ]);
    const left = grouped.length > 0 ? grouped : [...own, 'pod', 'instance'];
    return [...legend.matchAll(/\{\{(\w+)\}\}/g)]
      .map(([, label = '']) => label)
      .filter((label) => !left.includes(label))
      .map((label) => `${title}: ${label}`);
  });
  expect(faults).toEqual([]);
});

test('every series that a rule records is in the dashboard', () => {
  const shown = new Set(QUERIES.flatMap(({ expr }) => askedOf(expr).map(({ metric }) => metric)));
  expect([...RECORDED.keys()].filter((name) => !shown.has(name))).toEqual([]);
});

test('no two panels have the same place or number', () => {
  interface Placed {
    readonly id: number;
    readonly gridPos: { readonly x: number; readonly y: number; readonly w: number };
    readonly panels?: readonly Placed[];
  }
  const { panels } = JSON.parse(dashboard()) as { panels: readonly Placed[] };
  const all = panels.flatMap((panel) => [panel, ...(panel.panels ?? [])]);
  expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
  expect(new Set(all.map(({ gridPos: { x, y } }) => `${x},${y}`)).size).toBe(all.length);
  expect(all.filter(({ gridPos: { x, w } }) => x + w > 24)).toEqual([]);
});
