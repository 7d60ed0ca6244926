/** PromQL over the metrics of the gateway: names, labels and values that do not exist do not compile. */

import type { MetricDefinition } from '../../src/gateway/ops/metric-definition.ts';
import { type LabelsOf, METRICS, type MetricName, type NamesOf } from '../../src/gateway/ops/metric-definitions.ts';

/** Labels that the dashboard's variables narrow, with the variable of each. */
const VARIABLES = { namespace: '$namespace', model: '$model', version: '$version' } as const;

export type Matchers<Name extends MetricName> = Readonly<Partial<Record<keyof LabelsOf<Name>, string>>>;

/** A series of a counter or a gauge, narrowed by the variables. A matcher with `|` matches any of its parts. */
export function series<Name extends NamesOf<'counter' | 'gauge'>>(name: Name, matchers?: Matchers<Name>): string {
  return selector(name, METRICS[name], matchers);
}

/** A part of a histogram, narrowed by the variables. */
export function part<Name extends NamesOf<'histogram'>>(
  name: Name,
  of: 'bucket' | 'sum' | 'count',
  matchers?: Matchers<Name>,
): string {
  return selector(`${name}_${of}`, METRICS[name], matchers);
}

function selector(
  name: string,
  { labels }: MetricDefinition,
  matchers: Readonly<Record<string, string | undefined>> = {},
): string {
  const narrowed = Object.entries(VARIABLES).filter(([label]) => label === 'namespace' || labels.includes(label));
  const inside = [
    ...narrowed.map(([label, variable]) => `${label}=~"${variable}"`),
    ...Object.entries(matchers).map(([label, value = '']) => `${label}${value.includes('|') ? '=~' : '='}"${value}"`),
  ];
  return `${name}{${inside.join(',')}}`;
}

export function rate(selected: string): string {
  return `rate(${selected}[$__rate_interval])`;
}

export function increase(selected: string): string {
  return `increase(${selected}[$__rate_interval])`;
}

export function sumBy(labels: readonly string[], expression: string): string {
  return labels.length === 0 ? `sum(${expression})` : `sum by (${labels.join(', ')}) (${expression})`;
}

export function maxBy(labels: readonly string[], expression: string): string {
  return `max by (${labels.join(', ')}) (${expression})`;
}

/** A quantile of a histogram over the interval. */
export function quantile<Name extends NamesOf<'histogram'>>(
  share: number,
  name: Name,
  { by, where }: { readonly by: readonly string[]; readonly where?: Matchers<Name> },
): string {
  return `histogram_quantile(${share}, ${sumBy(['le', ...by], rate(part(name, 'bucket', where)))})`;
}

/** The mean of a histogram's values over the interval. */
export function mean<Name extends NamesOf<'histogram'>>(name: Name, by: readonly string[]): string {
  return `${sumBy(by, rate(part(name, 'sum')))} / ${sumBy(by, rate(part(name, 'count')))}`;
}
