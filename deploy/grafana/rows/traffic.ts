/** Versions beside each other, and the ports. */

import type { PanelPlan } from '../panel.ts';
import { increase, maxBy, quantile, rate, series, sumBy } from '../query.ts';

const MODEL = ['model'] as const;

export const ROLLOUTS: readonly PanelPlan[] = [
  {
    title: 'Rollouts: share of the new version',
    description: 'In percent, as routed by the latest rollout of the model.',
    unit: 'percent',
    max: 100,
    queries: [
      {
        expr: maxBy(['model', 'from', 'to'], series('tensorgate_rollout_percent')),
        legend: '{{model}} {{from}} to {{to}}',
      },
    ],
  },
  {
    title: 'Rollouts: stages entered',
    description: 'A rollback names its cause.',
    unit: 'none',
    queries: [
      {
        expr: `${sumBy(['model', 'to', 'stage', 'cause'], increase(series('tensorgate_rollout_changes_total')))} > 0`,
        legend: '{{model}} to {{to}}: {{stage}} {{cause}}',
      },
    ],
  },
  {
    title: 'Shadows: rows that agree',
    description: 'Share of the compared rows whose largest element has the same place.',
    unit: 'percentunit',
    max: 1,
    queries: [
      {
        expr: `${sumBy(['model', 'primary', 'shadow'], rate(series('tensorgate_shadow_rows_total', { largest: 'same' })))} / ${sumBy(['model', 'primary', 'shadow'], rate(series('tensorgate_shadow_rows_total')))}`,
        legend: '{{model}} {{primary}} and {{shadow}}',
      },
    ],
  },
  {
    title: 'Shadows: p99 of both versions',
    description: 'From the queue to the outputs, for compared requests.',
    unit: 's',
    queries: [
      {
        expr: quantile(0.99, 'tensorgate_shadow_duration_seconds', { by: ['model', 'of'] }),
        legend: '{{model}} {{of}}',
      },
    ],
  },
  {
    title: 'Shadows: copies that were not compared',
    description: 'Not sent, to keep capacity for clients, or failed.',
    unit: 'reqps',
    queries: [
      {
        expr: `${sumBy(['model', 'cause'], rate(series('tensorgate_shadow_shed_total')))} > 0`,
        legend: '{{model}} not sent: {{cause}}',
      },
      {
        expr: `${sumBy(['model', 'reason'], rate(series('tensorgate_shadow_failures_total')))} > 0`,
        legend: '{{model}} failed: {{reason}}',
      },
    ],
  },
];

export const PORTS: readonly PanelPlan[] = [
  {
    title: 'Calls by method',
    description: 'gRPC calls and REST requests a second, by the gRPC method of the same operation.',
    unit: 'reqps',
    queries: [
      {
        expr: `${sumBy(['method', 'status'], rate(series('tensorgate_calls_total')))} > 0`,
        legend: '{{method}} {{status}}',
      },
    ],
  },
  {
    title: 'Connections and calls',
    description: 'Open connections of both ports, and calls that are open.',
    unit: 'short',
    queries: [
      { expr: sumBy([], series('tensorgate_http2_connections')), legend: 'gRPC connections' },
      { expr: sumBy([], series('tensorgate_http2_streams')), legend: 'gRPC calls' },
      { expr: sumBy([], series('tensorgate_http_connections')), legend: 'HTTP connections' },
      { expr: sumBy([], series('tensorgate_http_requests')), legend: 'REST requests' },
    ],
  },
  {
    title: 'Limits that were reached',
    description: 'By the setting that refused, ended or closed something: docs/transport.md.',
    unit: 'reqps',
    queries: [
      { expr: `${sumBy(['limit'], rate(series('tensorgate_http2_limits_total')))} > 0`, legend: 'gRPC {{limit}}' },
      { expr: `${sumBy(['limit'], rate(series('tensorgate_http_limits_total')))} > 0`, legend: 'HTTP {{limit}}' },
    ],
  },
  {
    title: 'Bytes of requests and responses',
    description: 'Of inference, a second.',
    unit: 'Bps',
    queries: [
      { expr: sumBy(MODEL, rate(series('tensorgate_request_bytes_total'))), legend: '{{model}} requests' },
      { expr: sumBy(MODEL, rate(series('tensorgate_response_bytes_total'))), legend: '{{model}} responses' },
    ],
  },
  {
    title: 'Tenants',
    description: 'Requests admitted, and refused because of the rate of the tenant.',
    unit: 'reqps',
    queries: [
      {
        expr: sumBy(['tenant', 'outcome'], rate(series('tensorgate_tenant_requests_total'))),
        legend: '{{tenant}} {{outcome}}',
      },
    ],
  },
];
