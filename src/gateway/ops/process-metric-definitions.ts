/** Metrics of the gateway's process and of its Node.js, under the names that Prometheus' clients use. */

import type { MetricDefinition } from './metric-definition.ts';

/** From a collection of young objects to one that every caller notices. */
const PAUSES = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5] as const;

export const GC_KINDS = ['minor', 'major', 'incremental', 'weakcb'] as const;

export const PROCESS_METRICS = {
  tensorgate_build_info: {
    kind: 'gauge',
    help: '1, with the versions of tensorgate, Node.js and ONNX Runtime as labels.',
    labels: ['version', 'node', 'onnxruntime'],
  },
  process_cpu_user_seconds_total: {
    kind: 'counter',
    help: 'CPU time of the gateway process in user mode.',
    labels: [],
  },
  process_cpu_system_seconds_total: {
    kind: 'counter',
    help: 'CPU time of the gateway process in the kernel.',
    labels: [],
  },
  process_cpu_seconds_total: { kind: 'counter', help: 'CPU time of the gateway process.', labels: [] },
  process_start_time_seconds: {
    kind: 'gauge',
    help: 'Start of the gateway process, in seconds since 1970.',
    labels: [],
  },
  process_resident_memory_bytes: { kind: 'gauge', help: 'Resident memory of the gateway process.', labels: [] },
  process_virtual_memory_bytes: { kind: 'gauge', help: 'Virtual memory of the gateway process (Linux).', labels: [] },
  process_open_fds: { kind: 'gauge', help: 'Open file descriptors of the gateway process (Linux).', labels: [] },
  process_max_fds: {
    kind: 'gauge',
    help: 'Limit of the open file descriptors of the gateway process (Linux).',
    labels: [],
  },
  nodejs_heap_size_total_bytes: { kind: 'gauge', help: 'Size of the heap of V8.', labels: [] },
  nodejs_heap_size_used_bytes: { kind: 'gauge', help: 'Used part of the heap of V8.', labels: [] },
  nodejs_external_memory_bytes: {
    kind: 'gauge',
    help: 'Memory outside the heap that V8 objects hold, such as messages.',
    labels: [],
  },
  nodejs_eventloop_lag_seconds: {
    kind: 'gauge',
    help: 'Delay of the event loop during the scrape.',
    labels: [],
  },
  nodejs_eventloop_lag_mean_seconds: {
    kind: 'gauge',
    help: 'Mean delay of the event loop since the last scrape.',
    labels: [],
  },
  nodejs_eventloop_lag_max_seconds: {
    kind: 'gauge',
    help: 'Longest delay of the event loop since the last scrape.',
    labels: [],
  },
  nodejs_eventloop_lag_p50_seconds: {
    kind: 'gauge',
    help: 'Median delay of the event loop since the last scrape.',
    labels: [],
  },
  nodejs_eventloop_lag_p99_seconds: {
    kind: 'gauge',
    help: '99th percentile of the delay of the event loop since the last scrape.',
    labels: [],
  },
  nodejs_gc_duration_seconds: {
    kind: 'histogram',
    help: 'Pauses of the garbage collector of the gateway, by kind.',
    labels: ['kind'],
    buckets: PAUSES,
    values: { kind: GC_KINDS },
  },
} as const satisfies Record<string, MetricDefinition>;
