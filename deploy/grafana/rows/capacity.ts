/** What the server and its models have left. */

import type { PanelPlan } from '../panel.ts';
import { maxBy, quantile, rate, series, sumBy } from '../query.ts';

const MODEL = ['model'] as const;
const VERSION = ['model', 'version'] as const;
const VERSION_LEGEND = '{{model}}:{{version}}';
/** Refusals that more capacity would have answered. */
const SHED = 'cannot_meet_deadline|overloaded|queue_full';

export const CAPACITY: readonly PanelPlan[] = [
  {
    title: 'Refused for lack of capacity',
    description: 'Share of the requests that more capacity would have answered.',
    unit: 'percentunit',
    queries: [
      {
        expr: `${sumBy(MODEL, rate(series('tensorgate_requests_total', { reason: SHED })))} / ${sumBy(MODEL, rate(series('tensorgate_requests_total')))}`,
        legend: '{{model}}',
      },
    ],
  },
  {
    title: 'Waiting requests',
    description: 'Requests in the queue of each version.',
    unit: 'short',
    queries: [{ expr: sumBy(VERSION, series('tensorgate_queue_depth')), legend: VERSION_LEGEND }],
  },
  {
    title: 'Time in the queue: p99',
    description: 'From admission to the start of the batch.',
    unit: 's',
    queries: [
      {
        expr: quantile(0.99, 'tensorgate_queue_duration_seconds', { by: MODEL }),
        legend: '{{model}}',
        exemplars: true,
      },
    ],
  },
  {
    title: 'Predicted time of a batch',
    description: 'For one row and for the most rows, as admission believes now.',
    unit: 's',
    queries: [
      {
        expr: maxBy([...VERSION, 'rows'], series('tensorgate_predicted_seconds')),
        legend: `${VERSION_LEGEND}, {{rows}} rows`,
      },
    ],
  },
  {
    title: 'Event loop of the gateway',
    description: 'Share of the time in which it was busy. Near 1 the gateway itself is the bottleneck.',
    unit: 'percentunit',
    max: 1,
    queries: [
      { expr: rate(series('tensorgate_event_loop_active_seconds_total')), legend: '{{pod}} {{instance}}' },
      { expr: rate(series('tensorgate_acceptor_active_seconds_total')), legend: '{{pod}} acceptor {{acceptor}}' },
    ],
  },
  {
    title: 'Bytes in flight, of their limit',
    description: 'At 1 the server sheds requests, whatever their model.',
    unit: 'percentunit',
    max: 1,
    queries: [
      {
        expr: `${series('tensorgate_in_flight_bytes')} / ${series('tensorgate_in_flight_bytes_limit')}`,
        legend: '{{pod}} {{instance}}',
      },
    ],
  },
  {
    title: 'Memory of models',
    description: 'Resident memory of the runners.',
    unit: 'bytes',
    stacked: true,
    queries: [{ expr: sumBy(VERSION, series('tensorgate_model_memory_bytes')), legend: VERSION_LEGEND }],
  },
  {
    title: 'Response cache',
    description: 'Hits and shared runs, as a share of the requests to models with a cache.',
    unit: 'percentunit',
    max: 1,
    queries: [
      {
        expr: `${sumBy(MODEL, rate(series('tensorgate_cache_requests_total', { outcome: 'hit|joined' })))} / ${sumBy(MODEL, rate(series('tensorgate_cache_requests_total')))}`,
        legend: '{{model}}',
      },
    ],
  },
  {
    title: 'Padding',
    description: 'Share of the computed elements that are padding.',
    unit: 'percentunit',
    max: 1,
    queries: [{ expr: maxBy(VERSION, series('tensorgate_padding_share')), legend: VERSION_LEGEND }],
  },
];
