/** The counters of ModelStatistics under the names of Triton's metrics, so that dashboards made for Triton work. */

import { FAILURE_CAUSES, type ModelStatistics } from '../models/model-statistics.ts';
import type { Servable } from '../models/servable.ts';
import type { ExpositionFormat } from '../ops/exposition.ts';

interface Family {
  readonly name: string;
  readonly kind: 'counter' | 'gauge';
  readonly help: string;
  readonly value: (model: Servable) => number;
}

/** Durations are in whole microseconds there. */
const us = (name: 'success' | 'queue' | 'input' | 'compute' | 'output') => (model: Servable) =>
  Math.round(model.statistics[name].ms * 1_000);

/** Names, kinds and meanings of Triton's documentation (docs/user_guide/metrics.md). */
const FAMILIES: readonly Family[] = [
  {
    name: 'nv_inference_request_success',
    kind: 'counter',
    help: 'Number of successful inference requests, all batch sizes',
    value: ({ statistics }) => statistics.success.count,
  },
  {
    name: 'nv_inference_count',
    kind: 'counter',
    help: 'Number of inferences performed (does not include cached requests)',
    value: ({ statistics }) => statistics.inferenceCount,
  },
  {
    name: 'nv_inference_exec_count',
    kind: 'counter',
    help: 'Number of model executions performed (does not include cached requests)',
    value: ({ statistics }) => statistics.executionCount,
  },
  {
    name: 'nv_inference_request_duration_us',
    kind: 'counter',
    help: 'Cumulative inference request duration in microseconds (includes cached requests)',
    value: us('success'),
  },
  {
    name: 'nv_inference_queue_duration_us',
    kind: 'counter',
    help: 'Cumulative inference queuing duration in microseconds (includes cached requests)',
    value: us('queue'),
  },
  {
    name: 'nv_inference_compute_input_duration_us',
    kind: 'counter',
    help: 'Cumulative compute input duration in microseconds (does not include cached requests)',
    value: us('input'),
  },
  {
    name: 'nv_inference_compute_infer_duration_us',
    kind: 'counter',
    help: 'Cumulative compute inference duration in microseconds (does not include cached requests)',
    value: us('compute'),
  },
  {
    name: 'nv_inference_compute_output_duration_us',
    kind: 'counter',
    help: 'Cumulative inference compute output duration in microseconds (does not include cached requests)',
    value: us('output'),
  },
  {
    name: 'nv_inference_pending_request_count',
    kind: 'gauge',
    help: 'Instantaneous number of pending requests awaiting execution per-model.',
    value: ({ queuedRequests }) => queuedRequests,
  },
];

const FAILURES = 'nv_inference_request_failure';

/**
 * Model names and versions hold nothing that would have to be escaped. OpenMetrics has no counters with names like Triton's: they are
 * `unknown` there.
 */
export function tritonMetrics(models: readonly Servable[], format: ExpositionFormat): string {
  const lines: string[] = [];
  const counter = format === 'openmetrics' ? 'unknown' : 'counter';
  for (const { name, kind, help, value } of FAMILIES) {
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${kind === 'counter' ? counter : kind}`);
    for (const model of models) lines.push(`${name}{${labelsOf(model)}} ${value(model)}`);
  }
  lines.push(
    `# HELP ${FAILURES} Number of failed inference requests, all batch sizes`,
    `# TYPE ${FAILURES} ${counter}`,
  );
  for (const model of models) {
    for (const [cause, count] of failuresOf(model.statistics)) {
      lines.push(`${FAILURES}{${labelsOf(model)},reason="${cause}"} ${count}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

function labelsOf({ ref: { name, version } }: Servable): string {
  return `model="${name}",version="${version}"`;
}

function failuresOf({ failures }: ModelStatistics): [string, number][] {
  return FAILURE_CAUSES.map((cause) => [cause, failures[cause].count]);
}
