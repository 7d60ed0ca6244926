/**
 * Every metric: name, kind, help, labels, values of labels, and buckets. `docs/metrics.md` and `deploy/grafana` follow from it, and
 * queries of alerts are held to it.
 */

import {
  BATCH_OUTCOMES,
  CACHE_OUTCOMES,
  COMPARISON_RESULTS,
  REQUEST_REASONS,
  ROLLBACK_CAUSES,
  ROLLOUT_STAGES,
  SEND_REASONS,
  SHED_CAUSES,
  STATUSES,
} from './label-values.ts';
import type { MetricDefinition } from './metric-definition.ts';
import { PROCESS_METRICS } from './process-metric-definitions.ts';

const MODEL = ['model', 'version'] as const;
/** From a cache-warm small model to the deadline of a patient caller. */
const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;
/** From the rounding of half a float to answers that have nothing in common. */
const DIFFERENCES = [0, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1, 10] as const;
const SHADOW = ['model', 'primary', 'shadow'] as const;
const ROLLOUT = ['model', 'from', 'to'] as const;
/** From a prediction that was four times too high to a stall. */
const PREDICTION_RATIOS = [0.25, 0.5, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 4, 10] as const;
const ROWS = [1, 2, 4, 8, 16, 32, 64, 128, 256] as const;

/** Every metric of the gateway. The unit is in the name (`unitOf`): Prometheus and OTLP then show the same one. */
export const METRICS = {
  tensorgate_calls_total: {
    kind: 'counter',
    help: 'Finished gRPC calls of all methods.',
    labels: ['method', 'status'],
    values: { status: STATUSES },
  },
  tensorgate_requests_total: {
    kind: 'counter',
    help: 'Inference requests answered or refused: unary calls and messages of streams.',
    labels: [...MODEL, 'status', 'reason'],
    values: { status: STATUSES, reason: REQUEST_REASONS },
  },
  tensorgate_request_duration_seconds: {
    kind: 'histogram',
    help: 'Time from the complete request to its response or refusal.',
    labels: [...MODEL, 'status'],
    values: { status: STATUSES },
    buckets: SECONDS,
  },
  tensorgate_queue_duration_seconds: {
    kind: 'histogram',
    help: 'Time from admission to the start of the batch, for requests that ran.',
    labels: MODEL,
    buckets: SECONDS,
  },
  tensorgate_request_bytes_total: { kind: 'counter', help: 'Bytes of request messages.', labels: MODEL },
  tensorgate_response_bytes_total: { kind: 'counter', help: 'Bytes of response messages.', labels: MODEL },
  tensorgate_batches_total: {
    kind: 'counter',
    help: 'Batches run, by reason for sending and outcome.',
    labels: [...MODEL, 'reason', 'outcome'],
    values: { reason: SEND_REASONS, outcome: BATCH_OUTCOMES },
  },
  tensorgate_batch_size: { kind: 'histogram', help: 'Rows per batch.', labels: MODEL, buckets: ROWS },
  tensorgate_compute_duration_seconds: {
    kind: 'histogram',
    help: 'Time inside ONNX Runtime, for successful batches.',
    labels: MODEL,
    buckets: SECONDS,
  },
  tensorgate_transfer_duration_seconds: {
    kind: 'histogram',
    help: 'Time from the gateway to the session and back without compute, for successful batches.',
    labels: MODEL,
    buckets: SECONDS,
  },
  tensorgate_predicted_seconds: {
    kind: 'gauge',
    help: 'Predicted upper bound of the time of a batch from the gateway to the model and back: for one row and for the maximum of rows, sized like the latest run. Admission refuses requests by it. 0 when unknown.',
    labels: [...MODEL, 'rows'],
  },
  tensorgate_prediction_ratio: {
    kind: 'histogram',
    help: 'Actual over predicted time of a run, for successful batches. Predictions err on the high side: most ratios are below 1.',
    labels: MODEL,
    buckets: PREDICTION_RATIOS,
  },
  tensorgate_queue_depth: { kind: 'gauge', help: 'Requests waiting for a batch.', labels: MODEL },
  tensorgate_queue_rows: { kind: 'gauge', help: 'Rows waiting for a batch.', labels: MODEL },
  tensorgate_cache_requests_total: {
    kind: 'counter',
    help: 'Requests to models with a response cache: `hit` was answered from the cache, `joined` shared the run of an equal request, `miss` ran.',
    labels: [...MODEL, 'outcome'],
    values: { outcome: CACHE_OUTCOMES },
  },
  tensorgate_padding_share: {
    kind: 'gauge',
    help: 'Share of padding in the elements computed along the length axis since the model was loaded, 0 to 1 (padded / computed). Only for models that batch requests of different lengths.',
    labels: MODEL,
  },
  tensorgate_cache_bytes: { kind: 'gauge', help: 'Bytes in the response cache of the model.', labels: MODEL },
  tensorgate_tenant_requests_total: {
    kind: 'counter',
    help: 'Inference requests per tenant, admitted or refused because of its rate. Tenants without a weight in the settings count as `other`.',
    labels: ['tenant', 'outcome'],
    values: { outcome: ['admitted', 'limited'] },
  },
  tensorgate_model_memory_bytes: {
    kind: 'gauge',
    help: 'Resident memory of the runner process of the model version; versions that share a runner count equal parts.',
    labels: MODEL,
  },
  tensorgate_model_ready: { kind: 'gauge', help: '1 while the model version is READY, otherwise 0.', labels: MODEL },
  tensorgate_breaker_state: {
    kind: 'gauge',
    help: 'Circuit breaker of the model version: 0 closed, 1 half-open, 2 open.',
    labels: MODEL,
  },
  tensorgate_in_flight_requests: { kind: 'gauge', help: 'Requests admitted and not yet answered.', labels: [] },
  tensorgate_in_flight_bytes: { kind: 'gauge', help: 'Bytes of the requests in flight.', labels: [] },
  tensorgate_in_flight_bytes_limit: {
    kind: 'gauge',
    help: 'Limit of the bytes in flight, above which requests are shed (setting maxInFlightBytes).',
    labels: [],
  },
  tensorgate_http2_connections: {
    kind: 'gauge',
    help: 'Open connections to the gRPC ports (transport h2).',
    labels: [],
  },
  tensorgate_http2_streams: {
    kind: 'gauge',
    help: 'Open calls, including calls with an incomplete request.',
    labels: [],
  },
  tensorgate_http2_incoming_bytes: {
    kind: 'gauge',
    help: 'Bytes of requests that are incomplete or unread; the limit is http2MaxIncomingBytesInAll.',
    labels: [],
  },
  tensorgate_http2_unread_bytes: {
    kind: 'gauge',
    help: 'Bytes of responses that clients have not read yet; the limit is http2MaxUnreadBytesInAll.',
    labels: [],
  },
  tensorgate_http2_limits_total: {
    kind: 'counter',
    help: 'Calls refused or ended and connections closed by a limit of the transport, by its setting.',
    labels: ['limit'],
  },
  tensorgate_acceptor_connections: {
    kind: 'gauge',
    help: 'Open connections of each acceptor (setting acceptors above 1). The sum of all is in tensorgate_http2_connections.',
    labels: ['acceptor'],
  },
  tensorgate_acceptor_active_seconds_total: {
    kind: 'counter',
    help: 'Time in which the event loop of an acceptor was busy. A rate near 1 for all of them means that more acceptors help.',
    labels: ['acceptor'],
  },
  tensorgate_acceptor_restarts_total: {
    kind: 'counter',
    help: 'Acceptors that ended by a fault, and were started again. Only their own connections were lost.',
    labels: ['acceptor'],
  },
  tensorgate_http_connections: { kind: 'gauge', help: 'Open connections to the HTTP port.', labels: [] },
  tensorgate_http_requests: {
    kind: 'gauge',
    help: 'REST requests in progress, until the client has read the response; the limit is httpMaxRequests.',
    labels: [],
  },
  tensorgate_http_unread_bytes: {
    kind: 'gauge',
    help: 'Bytes of responses of the HTTP port that clients are reading; the limit is httpMaxUnreadBytesInAll.',
    labels: [],
  },
  tensorgate_http_limits_total: {
    kind: 'counter',
    help: 'Requests refused, responses cut and connections closed by a limit of the HTTP port, by its setting.',
    labels: ['limit'],
  },
  tensorgate_runner_restarts_total: {
    kind: 'counter',
    help: 'Runner processes that crashed, hung or exceeded the run time limit, and were replaced.',
    labels: ['runner'],
  },
  tensorgate_runner_starts_total: {
    kind: 'counter',
    help: 'Attempts to load a model version again after its runner was lost, by outcome. Failed attempts are retried indefinitely.',
    labels: [...MODEL, 'outcome'],
    values: { outcome: ['ok', 'failed'] },
  },
  tensorgate_runner_down: {
    kind: 'gauge',
    help: '1 while a model version that has served waits for a new runner, otherwise 0.',
    labels: MODEL,
  },
  tensorgate_shadow_comparisons_total: {
    kind: 'counter',
    help: 'Responses of a shadow compared with the responses that clients got.',
    labels: [...SHADOW, 'result'],
    values: { result: COMPARISON_RESULTS },
  },
  tensorgate_shadow_rows_total: {
    kind: 'counter',
    help: 'Rows of floating-point outputs whose largest element was compared.',
    labels: [...SHADOW, 'largest'],
    values: { largest: ['same', 'other'] },
  },
  tensorgate_shadow_max_absolute_difference: {
    kind: 'histogram',
    help: 'Largest finite difference of two floating-point elements per comparison.',
    labels: SHADOW,
    buckets: DIFFERENCES,
  },
  tensorgate_shadow_max_relative_difference: {
    kind: 'histogram',
    help: 'Largest finite difference per comparison, as a share of the larger of the two elements.',
    labels: SHADOW,
    buckets: DIFFERENCES,
  },
  tensorgate_shadow_duration_seconds: {
    kind: 'histogram',
    help: 'Time from the queue to the outputs, for compared requests.',
    labels: [...SHADOW, 'of'],
    values: { of: ['primary', 'shadow'] },
    buckets: SECONDS,
  },
  tensorgate_shadow_failures_total: {
    kind: 'counter',
    help: 'Copies that a shadow failed to answer.',
    labels: [...SHADOW, 'reason'],
    values: { reason: REQUEST_REASONS },
  },
  tensorgate_shadow_shed_total: {
    kind: 'counter',
    help: 'Copies not sent, to keep capacity for clients.',
    labels: [...SHADOW, 'cause'],
    values: { cause: SHED_CAUSES },
  },
  tensorgate_rollout_percent: {
    kind: 'gauge',
    help: "Share of unversioned requests routed to the new version of the model's latest rollout, in percent.",
    labels: ROLLOUT,
  },
  tensorgate_rollout_changes_total: {
    kind: 'counter',
    help: 'Stage changes of rollouts, by the stage entered and, for roll-backs, the cause.',
    labels: [...ROLLOUT, 'stage', 'cause'],
    values: { stage: ROLLOUT_STAGES, cause: ['none', ...ROLLBACK_CAUSES] },
  },
  tensorgate_event_loop_active_seconds_total: {
    kind: 'counter',
    help: 'Time in which the event loop of the gateway was busy. A rate near 1 means that the gateway itself is the bottleneck.',
    labels: [],
  },
  ...PROCESS_METRICS,
} as const satisfies Record<string, MetricDefinition>;

export type MetricName = keyof typeof METRICS;

export type NamesOf<Kind extends MetricDefinition['kind']> = {
  [Name in MetricName]: (typeof METRICS)[Name]['kind'] extends Kind ? Name : never;
}[MetricName];

export type LabelsOf<Name extends MetricName> = Readonly<
  Record<(typeof METRICS)[Name]['labels'][number], string | number>
>;

/** The base unit that a metric's name ends with; `undefined` for a number of something. */
export function unitOf(name: string): 'seconds' | 'bytes' | undefined {
  const [, unit] = /_(seconds|bytes)(?:_total|_limit)?$/.exec(name) ?? [];
  return unit === 'seconds' || unit === 'bytes' ? unit : undefined;
}
