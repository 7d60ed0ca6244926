/** The gateway's process, and series over weeks. */

import type { PanelPlan } from '../panel.ts';
import { part, rate, series, sumBy } from '../query.ts';

export const PROCESS: readonly PanelPlan[] = [
  {
    title: 'CPU of the gateway',
    description: 'Cores. Runners are processes of their own.',
    unit: 'short',
    queries: [{ expr: rate(series('process_cpu_seconds_total')), legend: '{{pod}} {{instance}}' }],
  },
  {
    title: 'Memory of the gateway',
    description: 'Resident memory, and the parts of V8.',
    unit: 'bytes',
    queries: [
      { expr: series('process_resident_memory_bytes'), legend: '{{pod}} {{instance}} resident' },
      { expr: series('nodejs_heap_size_used_bytes'), legend: '{{pod}} {{instance}} heap' },
      { expr: series('nodejs_external_memory_bytes'), legend: '{{pod}} {{instance}} external' },
    ],
  },
  {
    title: 'Delay of the event loop: p99',
    description: 'What every call waits in the worst case before its next step.',
    unit: 's',
    queries: [{ expr: series('nodejs_eventloop_lag_p99_seconds'), legend: '{{pod}} {{instance}}' }],
  },
  {
    title: 'Pauses of the garbage collector',
    description: 'Share of the time, by kind.',
    unit: 'percentunit',
    queries: [{ expr: rate(part('nodejs_gc_duration_seconds', 'sum')), legend: '{{pod}} {{instance}} {{kind}}' }],
  },
  {
    title: 'File descriptors, of their limit',
    description: 'At 1 no connection can be accepted.',
    unit: 'percentunit',
    max: 1,
    queries: [{ expr: `${series('process_open_fds')} / ${series('process_max_fds')}`, legend: '{{pod}} {{instance}}' }],
  },
  {
    title: 'Versions of the software',
    description: 'Replicas by version of tensorgate, Node.js and ONNX Runtime.',
    unit: 'none',
    queries: [
      {
        expr: sumBy(['version', 'node', 'onnxruntime'], 'tensorgate_build_info{namespace=~"$namespace"}'),
        legend: 'tensorgate {{version}}, Node.js {{node}}, ONNX Runtime {{onnxruntime}}',
      },
    ],
  },
];

/** Recorded series, by the names of deploy/istio/components/monitoring. */
export const WEEKS: readonly PanelPlan[] = [
  {
    title: 'Latency over weeks: p50 and p99',
    description: 'Needs the recording rules of deploy/istio or of the chart.',
    unit: 's',
    queries: ['p50', 'p99'].map((name) => ({
      expr: `tensorgate:request_duration_seconds:${name}_5m{namespace=~"$namespace",model=~"$model"}`,
      legend: `{{model}} ${name}`,
    })),
  },
  {
    title: 'Requests over weeks',
    description: 'By status. Needs the recording rules.',
    unit: 'reqps',
    stacked: true,
    queries: [
      {
        expr: 'sum by (status) (tensorgate:requests:rate5m{namespace=~"$namespace",model=~"$model",version=~"$version"})',
        legend: '{{status}}',
      },
    ],
  },
  {
    title: 'Refused for lack of capacity, over weeks',
    description: 'Share of the requests, by model. Needs the recording rules.',
    unit: 'percentunit',
    queries: [{ expr: 'tensorgate:refused:ratio5m{namespace=~"$namespace",model=~"$model"}', legend: '{{model}}' }],
  },
  {
    title: 'Time in the queue over weeks: p99',
    description: 'By model. Needs the recording rules.',
    unit: 's',
    queries: [
      {
        expr: 'tensorgate:queue_duration_seconds:p99_5m{namespace=~"$namespace",model=~"$model"}',
        legend: '{{model}}',
      },
    ],
  },
  {
    title: 'Rows per batch over weeks',
    description: 'Mean, by model. Needs the recording rules.',
    unit: 'short',
    queries: [{ expr: 'tensorgate:batch_size:mean5m{namespace=~"$namespace",model=~"$model"}', legend: '{{model}}' }],
  },
];
