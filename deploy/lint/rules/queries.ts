/** What Prometheus is asked: by alerts, canary analyses and scalers. */

import { parser as PROMQL } from '@prometheus-io/lezer-promql';
import { Status } from '../../../src/gateway/errors.ts';
import { METRICS, type MetricDefinition } from '../../../src/gateway/ops/metric-definitions.ts';
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
          .map(({ alert = '', expr = '' }) => ({ object, name: alert, text: expr })),
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

const METRIC = /\b((?:tensorgate|istio|nv)_[a-z0-9_]+)\s*(?:\{((?:"[^"]*"|[^}"])*)\})?/g;
const MATCHER = /(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"/g;

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

/** Label values that are a closed set, and matter in queries. */
const VALUES: Readonly<Record<string, readonly string[]>> = {
  status: Object.keys(Status),
  largest: ['same', 'other'],
  stage: ['loading', 'shadow', 'canary', 'promoted', 'rolled_back'],
};

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

function checkMetric({ object, name, text }: Query): Finding[] {
  return askedOf(text).flatMap(({ metric, matchers }) => {
    if (metric.startsWith('istio_')) return [];
    const definition = definitionOf(metric);
    if (definition === undefined) return [found(object, `${name}: the gateway has no series ${metric}`)];
    const known = [...definition.labels, ...PLACE_LABELS, ...POD_LABELS];
    return matchers.flatMap(({ label, values }) => [
      ...(known.includes(label) ? [] : [found(object, `${name}: ${metric} has no label ${label}`)]),
      ...values
        .filter((value) => VALUES[label]?.includes(value) === false)
        .map((value) => found(object, `${name}: the label ${label} is never ${value}`)),
    ]);
  });
}

/** What Flagger and Argo Rollouts fill in before they ask. */
function filledIn(text: string): string {
  return text.replaceAll(/\{\{\s*interval\s*\}\}/g, '2m').replaceAll(/\{\{[^}]*\}\}/g, 'filled-in');
}

/** Where a query is not of PromQL's grammar. */
function syntaxFaults(text: string): string[] {
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
    check: (build) => queriesOf(build).flatMap(checkMetric),
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
