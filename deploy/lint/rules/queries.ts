/** What Prometheus is asked: by alerts, canary analyses and scalers. */

import { parser as PROMQL } from '@prometheus-io/lezer-promql';
import type { MetricDefinition } from '../../../src/gateway/ops/metric-definition.ts';
import { METRICS } from '../../../src/gateway/ops/metric-definitions.ts';
import type { Build } from '../build.ts';
import type { KubeObject } from '../kinds.ts';
import { type Finding, found, missing, type Rule } from '../rule.ts';

export interface Query {
  readonly object: KubeObject;
  readonly name: string;
  readonly text: string;
}

export function queriesOf(build: Build): Query[] {
  return [
    ...build
      .of('PrometheusRule')
      .flatMap((object) =>
        (object.spec.groups ?? [])
          .flatMap(({ rules }) => rules ?? [])
          .map(({ alert, record, expr = '' }) => ({ object, name: alert ?? record ?? '', text: expr })),
      ),
    ...build.of('MetricTemplate').map((object) => ({ object, name: 'query', text: object.spec.query ?? '' })),
    ...build.of('AnalysisTemplate').flatMap((object) =>
      (object.spec.metrics ?? []).map(({ name, provider }) => ({
        object,
        name,
        text: provider?.prometheus?.query ?? '',
      })),
    ),
    ...build
      .of('ScaledObject')
      .flatMap((object) =>
        (object.spec.triggers ?? [])
          .filter(({ type }) => type === 'prometheus')
          .map(({ metadata }) => ({ object, name: 'trigger', text: metadata?.['query'] ?? '' })),
      ),
  ];
}

/** A metric in a query, and what it asks of its labels. */
export interface Asked {
  readonly metric: string;
  readonly matchers: readonly { readonly label: string; readonly values: readonly string[] }[];
}

const METRIC =
  /\b((?:tensorgate|istio|nv|process|nodejs)_[a-z0-9_]+|tensorgate:[a-z0-9_:]+)\s*(?:\{((?:"[^"]*"|[^}"])*)\})?/g;
const MATCHER = /(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"/g;
const GROUPING = /\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)/g;

export function askedOf(text: string): Asked[] {
  return [...text.matchAll(METRIC)].map(([, metric = '', inside = '']) => ({
    metric,
    matchers: [...inside.matchAll(MATCHER)].map(([, label = '', operator = '', value = '']) => ({
      label,
      values: operator.endsWith('~') ? value.split('|') : [value],
    })),
  }));
}

/** The labels that a series has from where it was scraped. */
const PLACE_LABELS: readonly string[] = ['namespace', 'pod', 'container', 'job', 'instance'];
/** Those that the PodMonitor copies from pods. */
const POD_LABELS: readonly string[] = ['app', 'track', 'rollouts_pod_template_hash'];

/** The metric of a series: a histogram is asked for by its buckets, sum and count. */
export function definitionOf(series: string): MetricDefinition | undefined {
  const metrics: Readonly<Record<string, MetricDefinition>> = METRICS;
  const [, name = series, part] = /^(.*)_(bucket|sum|count)$/.exec(series) ?? [];
  const histogram = metrics[name];
  if (part !== undefined && histogram?.kind === 'histogram') {
    return part === 'bucket' ? { ...histogram, labels: [...histogram.labels, 'le'] } : histogram;
  }
  return metrics[series]?.kind === 'histogram' ? undefined : metrics[series];
}

/** Labels by the name of a recorded series: those that its rule groups by. */
export type RecordedSeries = ReadonlyMap<string, readonly string[]>;

export function recordedIn(build: Build): RecordedSeries {
  const queries = queriesOf(build).filter(({ name }) => name.includes(':'));
  return new Map(queries.map(({ name, text }) => [name, groupedBy(text).filter((label) => label !== 'le')]));
}

export function groupedBy(text: string): string[] {
  const lists = [...text.matchAll(GROUPING)].map(([, list = '']) => list.split(','));
  return [...new Set(lists.flat().map((label) => label.trim()))].filter((label) => label !== '');
}

/** What a query asks for that no one exports or records: series, labels, and values of labels that are closed sets. */
export function unknownIn(text: string, recorded: RecordedSeries): string[] {
  const asked = askedOf(text);
  const known = new Set([...PLACE_LABELS, ...POD_LABELS]);
  const faults: string[] = [];
  for (const { metric, matchers } of asked) {
    // Istio's labels are not ours to know.
    if (metric.startsWith('istio_')) return faults;
    const labels = metric.includes(':') ? recorded.get(metric) : definitionOf(metric)?.labels;
    if (labels === undefined) {
      faults.push(metric.includes(':') ? `no rule records ${metric}` : `the gateway has no series ${metric}`);
      continue;
    }
    for (const label of labels) known.add(label);
    for (const { label, values } of matchers) {
      if (!labels.includes(label) && !PLACE_LABELS.includes(label) && !POD_LABELS.includes(label)) {
        faults.push(`${metric} has no label ${label}`);
      }
      const possible = definitionOf(metric)?.values?.[label];
      // A variable of a dashboard stands for any of them.
      const wrong = values.filter((value) => !value.startsWith('$') && possible?.includes(value) === false);
      for (const value of wrong) faults.push(`the label ${label} is never ${value}`);
    }
  }
  if (asked.length > 0) {
    for (const label of groupedBy(text)) {
      if (!known.has(label)) faults.push(`it groups by ${label}, which is a label of none of its series`);
    }
  }
  return faults;
}

function checkSeries(build: Build): Finding[] {
  const recorded = recordedIn(build);
  return queriesOf(build).flatMap(({ object, name, text }) =>
    unknownIn(text, recorded).map((fault) => found(object, `${name}: ${fault}`)),
  );
}

/** What Flagger and Argo Rollouts fill in before they ask. */
function filledIn(text: string): string {
  return text.replaceAll(/\{\{\s*interval\s*\}\}/g, '2m').replaceAll(/\{\{[^}]*\}\}/g, 'filled-in');
}

/** Where a query is not of PromQL's grammar. */
export function syntaxFaults(text: string): string[] {
  const query = filledIn(text);
  const faults: string[] = [];
  PROMQL.parse(query).iterate({
    enter: ({ type, from }) => {
      if (type.isError) faults.push(`at '${query.slice(from, from + 30)}'`);
    },
  });
  return query.trim() === '' ? ['it is empty'] : faults;
}

export const QUERY_RULES: readonly Rule[] = [
  {
    id: 'query-syntax',
    prevents: 'Prometheus refuses the query: no alert, or a canary that waits for ever',
    check: (build) =>
      queriesOf(build).flatMap(({ object, name, text }) =>
        syntaxFaults(text).map((where) => found(object, `${name} is no PromQL: ${where}`)),
      ),
  },
  {
    id: 'series-exist',
    prevents: 'an alert or an analysis asks for what nobody exports, sees nothing, and finds all well',
    check: checkSeries,
  },
  {
    id: 'grpc-status',
    prevents:
      'the success rate by HTTP statuses is 100 % for a canary that fails every call: gRPC is 200 with a trailer',
    check: (build) => [
      ...queriesOf(build)
        .filter(({ text }) =>
          askedOf(text).some(
            ({ metric, matchers }) =>
              metric === 'istio_requests_total' && matchers.some(({ label }) => label === 'response_code'),
          ),
        )
        .map(({ object, name }) =>
          found(object, `${name} judges by response_code: use grpc_response_status, or tensorgate_requests_total`),
        ),
      ...build
        .of('Canary')
        .flatMap((canary) =>
          (canary.spec.analysis?.metrics ?? [])
            .filter(({ name, templateRef }) => templateRef === undefined && name === 'request-success-rate')
            .map(({ name }) => found(canary, `the metric ${name} is Flagger's own, by HTTP statuses`)),
        ),
    ],
  },
  {
    id: 'pod-labels',
    prevents:
      'a query by a label of pods finds nothing, because the PodMonitor does not copy it, or hides a label of the gateway',
    check: (build) => {
      const [monitor] = build.of('PodMonitor');
      const asked = queriesOf(build).flatMap(({ object, name, text }) =>
        askedOf(text)
          .flatMap(({ matchers }) => matchers.map(({ label }) => label))
          .filter((label) => POD_LABELS.includes(label))
          .map((label) => ({ object, name, label })),
      );
      if (monitor === undefined) {
        return asked.length === 0
          ? []
          : [missing('queries ask for labels of pods, and there is no PodMonitor: components/monitoring is missing')];
      }
      const copied = (monitor.spec.podTargetLabels ?? []).map((label) => label.replaceAll(/[^a-zA-Z0-9_]/g, '_'));
      const own = new Set(Object.values(METRICS).flatMap(({ labels }) => labels as readonly string[]));
      return [
        ...asked
          .filter(({ label }) => !copied.includes(label))
          .map(({ object, name, label }) =>
            found(object, `${name}: PodMonitor/${monitor.metadata.name} does not copy the label ${label}`),
          ),
        ...copied
          .filter((label) => own.has(label))
          .map((label) =>
            found(monitor, `podTargetLabels: ${label} is a label of the gateway's own, which Prometheus would rename`),
          ),
      ];
    },
  },
  {
    id: 'analysis-exists',
    prevents: 'a canary whose analysis names what is not there waits, or is promoted unseen',
    check: (build) => [
      ...build.of('Canary').flatMap((canary) => {
        const metrics = canary.spec.analysis?.metrics ?? [];
        if (metrics.length === 0) return [found(canary, 'it has no metrics: every canary passes')];
        return metrics
          .filter(
            ({ templateRef }) =>
              templateRef !== undefined &&
              !build.of('MetricTemplate').some(({ metadata }) => metadata.name === templateRef.name),
          )
          .map(({ templateRef }) => found(canary, `there is no MetricTemplate ${templateRef?.name}`));
      }),
      ...build.of('Rollout').flatMap((rollout) => {
        const templates = rollout.spec.strategy?.canary?.analysis?.templates ?? [];
        if (templates.length === 0) return [found(rollout, 'it has no analysis: every canary passes')];
        return templates
          .filter(
            ({ templateName }) => !build.of('AnalysisTemplate').some(({ metadata }) => metadata.name === templateName),
          )
          .map(({ templateName }) => found(rollout, `there is no AnalysisTemplate ${templateName}`));
      }),
    ],
  },
];
