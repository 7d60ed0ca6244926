/** Which model is slow, and why. */

import type { PanelPlan } from '../panel.ts';
import { increase, maxBy, mean, quantile, rate, series, sumBy } from '../query.ts';

const MODEL = ['model'] as const;
const VERSION = ['model', 'version'] as const;
const VERSION_LEGEND = '{{model}}:{{version}}';

export const WHICH_MODEL: readonly PanelPlan[] = [
  {
    title: 'Requests by outcome',
    description: 'Answers and failures a second. A fall without failures is a change of the callers.',
    unit: 'reqps',
    stacked: true,
    queries: [
      { expr: sumBy(['model', 'status'], rate(series('tensorgate_requests_total'))), legend: '{{model}} {{status}}' },
    ],
  },
  {
    title: 'Latency: p50 and p99',
    description:
      'From the complete request to its response. The model whose p99 rises is the slow one; the next panels say why.',
    unit: 's',
    queries: [0.5, 0.99].map((share) => ({
      expr: quantile(share, 'tensorgate_request_duration_seconds', { by: MODEL, where: { status: 'OK' } }),
      legend: `{{model}} p${share * 100}`,
      exemplars: share === 0.99,
    })),
  },
  {
    title: 'Failures by reason',
    description: 'docs/errors.md explains each reason. Refusals for lack of capacity come before latency rises.',
    unit: 'reqps',
    stacked: true,
    queries: [
      {
        expr: `${sumBy(['model', 'reason'], rate(`tensorgate_requests_total{namespace=~"$namespace",model=~"$model",version=~"$version",reason!="none"}`))} > 0`,
        legend: '{{model}} {{reason}}',
      },
    ],
  },
  {
    title: 'Where the time goes: queue, transfer, run',
    description:
      'Means. A long queue means too little capacity, or a delay of the configuration; a long run means the model itself.',
    unit: 's',
    stacked: true,
    queries: [
      { expr: mean('tensorgate_queue_duration_seconds', MODEL), legend: '{{model}} queue' },
      { expr: mean('tensorgate_transfer_duration_seconds', MODEL), legend: '{{model}} transfer' },
      { expr: mean('tensorgate_compute_duration_seconds', MODEL), legend: '{{model}} run' },
    ],
  },
  {
    title: 'Rows per batch',
    description: 'Mean. Small batches under load cost throughput: see why they were sent.',
    unit: 'short',
    queries: [{ expr: mean('tensorgate_batch_size', MODEL), legend: '{{model}}' }],
  },
  {
    title: 'Why batches were sent',
    description: 'docs/metrics.md explains each reason.',
    unit: 'reqps',
    stacked: true,
    queries: [
      { expr: sumBy(['model', 'reason'], rate(series('tensorgate_batches_total'))), legend: '{{model}} {{reason}}' },
    ],
  },
  {
    title: 'Real time of runs over predicted time',
    description:
      'Above 1, runs took longer than predicted: a busy neighbour, or inputs unlike those before. Admission then accepts too much.',
    unit: 'short',
    queries: [0.5, 0.9].map((share) => ({
      expr: quantile(share, 'tensorgate_prediction_ratio', { by: MODEL }),
      legend: `{{model}} p${share * 100}`,
    })),
  },
  {
    title: 'Runners and breakers',
    description:
      'Processes that ended and starts that failed in the interval; breakers that are open (2) or half-open (1).',
    unit: 'none',
    queries: [
      { expr: sumBy(['runner'], increase(series('tensorgate_runner_restarts_total'))), legend: '{{runner}} replaced' },
      {
        expr: sumBy(VERSION, increase(series('tensorgate_runner_starts_total', { outcome: 'failed' }))),
        legend: `${VERSION_LEGEND} start failed`,
      },
      { expr: maxBy(VERSION, series('tensorgate_breaker_state')), legend: `${VERSION_LEGEND} breaker` },
    ],
  },
  {
    title: 'Versions: share of the requests',
    description: 'How the requests of a model are split over its versions.',
    unit: 'percentunit',
    stacked: true,
    max: 1,
    queries: [
      {
        expr: `${sumBy(VERSION, rate(series('tensorgate_requests_total')))} / on (model) group_left () ${sumBy(MODEL, rate(series('tensorgate_requests_total')))}`,
        legend: VERSION_LEGEND,
      },
    ],
  },
];
