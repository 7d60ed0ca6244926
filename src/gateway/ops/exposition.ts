/**
 * The text that Prometheus scrapes, in the format that it asks for: Prometheus's own (version 0.0.4), or OpenMetrics 1.0.0, which
 * also has exemplars.
 */

import type { Attributes } from '@opentelemetry/api';
import type { Distributions, Exemplar, HistogramSeries } from './distribution.ts';
import type { MetricDefinition } from './metric-definition.ts';
import { METRICS, type MetricName, unitOf } from './metric-definitions.ts';
import type { MetricFamilies } from './metric-families.ts';

export type ExpositionFormat = 'prometheus' | 'openmetrics';

export const EXPOSITION_TYPES = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
} as const satisfies Record<ExpositionFormat, string>;

/** The format of a scraper's `accept` header. Preferences (`q`) are not weighed: who names OpenMetrics can read it. */
export function formatFor(accept: string | undefined): ExpositionFormat {
  return accept?.includes('application/openmetrics-text') === true ? 'openmetrics' : 'prometheus';
}

/** The last line of an answer, after all families. */
export function endOf(format: ExpositionFormat): string {
  return format === 'openmetrics' ? '# EOF\n' : '';
}

interface Source {
  readonly families: MetricFamilies;
  readonly distributions: Distributions;
  /** Labels of `target_info`. */
  readonly resource: Attributes;
}

/** Every metric that has series, without the end of the answer. */
export function expose({ families, distributions, resource }: Source, format: ExpositionFormat): string {
  const lines = [
    ...head('target_info', { kind: 'gauge', help: 'Target metadata', labels: [] }, format),
    `target_info${labelsIn(resource)} 1`,
  ];
  for (const [name, definition] of Object.entries(METRICS) as [MetricName, MetricDefinition][]) {
    lines.push(...head(name, definition, format));
    for (const { labels, value } of families.samplesOf(name))
      lines.push(`${name}${labelsIn(labels)} ${numberIn(value)}`);
    for (const series of distributions.of(name)) addHistogram(lines, name, series, format);
  }
  return `${lines.join('\n')}\n`;
}

/** A counter's family has no `_total` in OpenMetrics, where only its samples have. */
function head(name: string, { kind, help }: MetricDefinition, format: ExpositionFormat): string[] {
  const isPlain = format === 'prometheus';
  const family = isPlain || kind !== 'counter' ? name : name.replace(/_total$/, '');
  const unit = isPlain ? undefined : unitOf(name);
  return [
    `# HELP ${family} ${escaped(help)}`,
    `# TYPE ${family} ${kind}`,
    ...(unit !== undefined && family.endsWith(`_${unit}`) ? [`# UNIT ${family} ${unit}`] : []),
  ];
}

function addHistogram(lines: string[], name: string, series: HistogramSeries, format: ExpositionFormat): void {
  const { labels, bounds, counts, exemplars, sum, count } = series;
  const inside = pairsIn(labels);
  const prefix = inside === '' ? '' : `${inside},`;
  let below = 0;
  for (const [bucket, inBucket] of counts.entries()) {
    below += inBucket;
    const bound = boundIn(bounds[bucket], format);
    const exemplar = format === 'openmetrics' ? exemplarIn(exemplars?.[bucket]) : '';
    lines.push(`${name}_bucket{${prefix}le="${bound}"} ${below}${exemplar}`);
  }
  const all = inside === '' ? '' : `{${inside}}`;
  lines.push(`${name}_sum${all} ${numberIn(sum)}`, `${name}_count${all} ${count}`);
}

/** OpenMetrics wants bounds as Go prints them: `1.0`, `1e-07`. */
function boundIn(bound: number | undefined, format: ExpositionFormat): string {
  if (bound === undefined) return '+Inf';
  if (format === 'prometheus') return String(bound);
  if (Number.isInteger(bound)) return bound.toFixed(1);
  if (bound >= 1e-4) return String(bound);
  return bound.toExponential().replace(/e-(\d)$/, 'e-0$1');
}

function exemplarIn(exemplar: Exemplar | undefined): string {
  if (exemplar === undefined) return '';
  const { traceId, spanId, value, atMs } = exemplar;
  return ` # {trace_id="${traceId}",span_id="${spanId}"} ${numberIn(value)} ${atMs / 1_000}`;
}

function labelsIn(labels: Attributes): string {
  const pairs = pairsIn(labels);
  return pairs === '' ? '' : `{${pairs}}`;
}

/** Names of attributes have dots, which names of labels have not. */
function pairsIn(labels: Attributes): string {
  return Object.entries(labels)
    .map(
      ([name, value]) => `${name.replaceAll(/[^a-zA-Z0-9_]/g, '_')}="${escaped(String(value)).replaceAll('"', '\\"')}"`,
    )
    .join(',');
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

function numberIn(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf';
  return value === Number.NEGATIVE_INFINITY ? '-Inf' : String(value);
}
