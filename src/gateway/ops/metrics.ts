/**
 * Metrics, recorded from what the stages publish. Labels take values of closed sets only: models that exist, statuses,
 * reasons, methods of the server.
 *
 * OpenTelemetry for JavaScript has no bound instruments: each `add` builds and hashes its attributes again. So counters are
 * plain numbers here, which are read when someone collects, and histograms are made series by series (`distribution.ts`).
 */

import { type EventLoopUtilization, performance } from 'node:perf_hooks';
import type { Attributes, BatchObservableResult, Meter, Observable } from '@opentelemetry/api';
import type { TransportLoad } from '../accept/call.ts';
import type { HttpLoad } from '../accept/http/http-limits.ts';
import type { Reason, StatusName } from '../errors.ts';
import {
  type BatchEnded,
  type BatchOutcome,
  type BreakerState,
  type CacheOutcome,
  type CallEnded,
  diagnostics,
  type InferenceEnded,
  type ModelRef,
  type ModelState,
  type Prediction,
  type RolloutChanged,
  type RunnerStarted,
  type SendReason,
  type ShadowEnded,
  type TenantCharged,
} from './diagnostics.ts';
import type { Distribute, Distribution } from './distribution.ts';

/** What gauges show: the gateway at this moment. */
export interface GatewayState {
  readonly inFlightRequests: number;
  readonly inFlightBytes: number;
  readonly maxInFlightBytes: number;
  readonly models: readonly ModelLoad[];
  /** Of all gRPC ports; `undefined` where the transport cannot tell. */
  readonly transport?: TransportLoad | undefined;
  /** `undefined` before the port is open. */
  readonly http?: HttpLoad | undefined;
}

/** One model version at this moment. */
export interface ModelLoad {
  readonly ref: ModelRef;
  readonly state: ModelState;
  readonly queuedRequests: number;
  readonly queuedRows: number;
  /** `undefined` where it has no response cache. */
  readonly cacheBytes?: number | undefined;
  /** `undefined` where its requests are not padded. */
  readonly paddingShare?: number | undefined;
  /** Times that batches are predicted to take; empty where nothing is known. */
  readonly predictions?: readonly Prediction[] | undefined;
  readonly isDown: boolean;
  /** What its runner process holds; of one that several share, an equal part. */
  readonly memoryBytes: number;
  readonly breaker: BreakerState;
}

export interface MetricDefinition {
  readonly kind: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
  /** Upper bounds of a histogram's buckets, `+Inf` left out. */
  readonly buckets?: readonly number[];
}

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

/** Every metric of the gateway. The unit is in the name: Prometheus and OTLP then show the same one. */
export const METRICS = {
  tensorgate_calls_total: {
    kind: 'counter',
    help: 'Finished gRPC calls of all methods.',
    labels: ['method', 'status'],
  },
  tensorgate_requests_total: {
    kind: 'counter',
    help: 'Inference requests answered or refused: unary calls and messages of streams.',
    labels: [...MODEL, 'status', 'reason'],
  },
  tensorgate_request_duration_seconds: {
    kind: 'histogram',
    help: 'Time from the complete request to its response or refusal.',
    labels: [...MODEL, 'status'],
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
  },
  tensorgate_shadow_rows_total: {
    kind: 'counter',
    help: 'Rows of floating-point outputs whose largest element was compared.',
    labels: [...SHADOW, 'largest'],
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
    buckets: SECONDS,
  },
  tensorgate_shadow_failures_total: {
    kind: 'counter',
    help: 'Copies that a shadow failed to answer.',
    labels: [...SHADOW, 'reason'],
  },
  tensorgate_shadow_shed_total: {
    kind: 'counter',
    help: 'Copies not sent, to keep capacity for clients.',
    labels: [...SHADOW, 'cause'],
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
  },
  tensorgate_event_loop_active_seconds_total: {
    kind: 'counter',
    help: 'Time in which the event loop of the gateway was busy. A rate near 1 means that the gateway itself is the bottleneck.',
    labels: [],
  },
} as const satisfies Record<string, MetricDefinition>;

type MetricName = keyof typeof METRICS;
type NamesOf<Kind> = { [Name in MetricName]: (typeof METRICS)[Name]['kind'] extends Kind ? Name : never }[MetricName];

/** The label of requests whose model was not found. */
const UNKNOWN_MODEL: ModelRef = { name: 'unknown', version: 'unknown' };
const BREAKER_VALUES = { closed: 0, 'half-open': 1, open: 2 } as const satisfies Record<BreakerState, number>;

/** Records into instruments of `meter`, and histograms into what `distribute` makes, until the returned function is called. */
export function recordMetrics(
  meter: Meter,
  distribute: Distribute,
  state: () => GatewayState | Promise<GatewayState>,
): () => void {
  const recorder = new MetricsRecorder(meter, distribute);
  const observables = [...recorder.observables.values()];
  const collect = async (result: BatchObservableResult): Promise<void> => recorder.collect(result, await state());
  meter.addBatchObservableCallback(collect, observables);
  const unsubscribe = [
    diagnostics.callEnded.subscribe((event) => recorder.recordCall(event)),
    diagnostics.inferenceEnded.subscribe((event) => recorder.recordInference(event)),
    diagnostics.batchEnded.subscribe((event) => recorder.recordBatch(event)),
    diagnostics.tenantCharged.subscribe((event) => recorder.recordTenant(event)),
    diagnostics.shadowEnded.subscribe((event) => recorder.recordShadow(event)),
    diagnostics.rolloutChanged.subscribe((event) => recorder.recordRollout(event)),
    diagnostics.limitReached.subscribe(({ limit }) => recorder.recordLimit(limit)),
    diagnostics.runnerEnded.subscribe(({ runner }) => recorder.recordRestart(runner)),
    diagnostics.runnerStarted.subscribe((event) => recorder.recordRunnerStart(event)),
  ];
  return () => {
    meter.removeBatchObservableCallback(collect, observables);
    for (const stop of unsubscribe) stop();
  };
}

interface Count<Labels> {
  readonly labels: Labels;
  value: number;
}

/** A histogram whose series is made when it has its first value. */
class LazyDistribution implements Distribution {
  readonly #make: () => Distribution;
  #made: Distribution | undefined;

  constructor(make: () => Distribution) {
    this.#make = make;
  }

  record(value: number): void {
    this.#made ??= this.#make();
    this.#made.record(value);
  }
}

type Histograms = (name: NamesOf<'histogram'>, labels: Attributes) => Distribution;

/** What one model version has done. */
class ModelSeries {
  readonly labels: { readonly model: string; readonly version: string };
  readonly requests = new Map<Reason | 'none', Count<{ status: StatusName; reason: Reason | 'none' }>>();
  /** How long requests took, which does not tell reasons apart. */
  readonly durations = new Map<StatusName, Distribution>();
  readonly queueDuration: Distribution;
  readonly batchSize: Distribution;
  readonly computeDuration: Distribution;
  readonly transferDuration: Distribution;
  readonly predictionRatio: Distribution;
  /** Of a model version that is gone, or knows nothing any more, 0. */
  readonly predictedMs = new Map<number, number>();
  /** Starts after the loss of a runner. */
  readonly starts = new Map<RunnerStarted['outcome'], Count<object>>();
  readonly batches = new Map<`${SendReason} ${BatchOutcome}`, Count<{ reason: SendReason; outcome: BatchOutcome }>>();
  readonly cached = new Map<CacheOutcome, Count<{ outcome: CacheOutcome }>>();
  /** When metrics were last collected; `undefined` where the version was gone by then. */
  load: ModelLoad | undefined;
  /** Its padding has been shown. */
  isPadded = false;
  requestBytes = 0;
  responseBytes = 0;
  readonly #histograms: Histograms;

  constructor({ name, version }: ModelRef, histograms: Histograms) {
    this.labels = { model: name, version };
    this.#histograms = histograms;
    this.queueDuration = histograms('tensorgate_queue_duration_seconds', this.labels);
    this.batchSize = histograms('tensorgate_batch_size', this.labels);
    this.computeDuration = histograms('tensorgate_compute_duration_seconds', this.labels);
    this.transferDuration = histograms('tensorgate_transfer_duration_seconds', this.labels);
    this.predictionRatio = histograms('tensorgate_prediction_ratio', this.labels);
  }

  /** Requests that ended for `reason`, which decides their status. */
  requestsFor(reason: Reason | 'none', status: StatusName): Count<unknown> {
    return obtain(this.requests, reason, () => ({ labels: { ...this.labels, status, reason }, value: 0 }));
  }

  cachedAs(outcome: CacheOutcome): Count<unknown> {
    return obtain(this.cached, outcome, () => ({ labels: { ...this.labels, outcome }, value: 0 }));
  }

  durationFor(status: StatusName): Distribution {
    return obtain(this.durations, status, () =>
      this.#histograms('tensorgate_request_duration_seconds', { ...this.labels, status }),
    );
  }

  startsAs(outcome: RunnerStarted['outcome']): Count<unknown> {
    return obtain(this.starts, outcome, () => ({ labels: { ...this.labels, outcome }, value: 0 }));
  }

  batchesFor(reason: SendReason, outcome: BatchOutcome): Count<unknown> {
    return obtain(this.batches, `${reason} ${outcome}`, () => ({
      labels: { ...this.labels, reason, outcome },
      value: 0,
    }));
  }
}

type ShadowCounter = Extract<NamesOf<'counter'>, `tensorgate_shadow_${string}`>;

/** What one shadow did beside one primary. */
class ShadowSeries {
  readonly labels: { readonly model: string; readonly primary: string; readonly shadow: string };
  readonly durationOfPrimary: Distribution;
  readonly durationOfShadow: Distribution;
  readonly absolute: Distribution;
  readonly relative: Distribution;
  /** By the counter and its own label. */
  readonly counts = new Map<string, Count<object> & { readonly name: ShadowCounter }>();

  constructor({ model, primary, shadow }: ShadowEnded, histograms: Histograms) {
    this.labels = { model, primary, shadow };
    this.durationOfPrimary = histograms('tensorgate_shadow_duration_seconds', { ...this.labels, of: 'primary' });
    this.durationOfShadow = histograms('tensorgate_shadow_duration_seconds', { ...this.labels, of: 'shadow' });
    this.absolute = histograms('tensorgate_shadow_max_absolute_difference', this.labels);
    this.relative = histograms('tensorgate_shadow_max_relative_difference', this.labels);
  }

  add(name: ShadowCounter, label: string, value: string, amount = 1): void {
    obtain(this.counts, `${name} ${value}`, () => ({
      name,
      labels: { ...this.labels, [label]: value },
      value: 0,
    })).value += amount;
  }
}

/** What the rollouts of a model from one version to another did. */
interface RolloutSeries {
  readonly labels: { readonly model: string; readonly from: string; readonly to: string };
  percent: number;
  /** By stage and cause. */
  readonly changes: Map<string, Count<object>>;
}

class MetricsRecorder {
  readonly observables: ReadonlyMap<MetricName, Observable>;
  readonly #histograms: Histograms;
  /** By name, then version: the same version may be loaded again, and goes on counting. */
  readonly #models = new Map<string, Map<string, ModelSeries>>();
  readonly #unknown: ModelSeries;
  /** By path: calls that reach no method of the server are not told of. */
  readonly #calls = new Map<string, Map<StatusName, Count<{ method: string; status: StatusName }>>>();
  readonly #tenants = new Map<string, Count<TenantCharged>>();
  readonly #limits = new Map<string, Count<{ limit: string }>>();
  readonly #restarts = new Map<string, Count<{ runner: string }>>();
  /** By model and versions. */
  readonly #shadows = new Map<string, ShadowSeries>();
  /** Likewise. */
  readonly #rollouts = new Map<string, RolloutSeries>();

  constructor(meter: Meter, distribute: Distribute) {
    this.#histograms = (name, labels) => new LazyDistribution(() => distribute({ name, ...METRICS[name] }, labels));
    this.#unknown = new ModelSeries(UNKNOWN_MODEL, this.#histograms);
    this.observables = new Map(
      (Object.entries(METRICS) as [MetricName, MetricDefinition][])
        .filter(([, { kind }]) => kind !== 'histogram')
        .map(([name, { kind, help }]) => [
          name,
          kind === 'counter'
            ? meter.createObservableCounter(name, { description: help })
            : meter.createObservableGauge(name, { description: help }),
        ]),
    );
  }

  recordCall({ call, status }: CallEnded): void {
    const statuses = obtain(this.#calls, call.path, () => new Map());
    obtain(statuses, status, () => ({ labels: { method: call.path.slice(1), status }, value: 0 })).value++;
  }

  recordInference(event: InferenceEnded): void {
    const series = event.model === undefined ? this.#unknown : this.#seriesOf(event.model);
    series.requestsFor(event.reason ?? 'none', event.status).value++;
    series.requestBytes += event.requestBytes;
    series.responseBytes += event.responseBytes;
    if (event.cache !== undefined) series.cachedAs(event.cache).value++;
    series.durationFor(event.status).record(event.durationMs / 1_000);
    if (event.queueMs !== undefined) series.queueDuration.record(event.queueMs / 1_000);
  }

  recordBatch(event: BatchEnded): void {
    const series = this.#seriesOf(event.model);
    series.batchesFor(event.reason, event.outcome).value++;
    series.batchSize.record(event.rows);
    if (event.outcome !== 'ok') return;
    series.computeDuration.record(event.computeMs / 1_000);
    series.transferDuration.record((event.inputMs + event.outputMs) / 1_000);
    if (event.predictedMs !== undefined) series.predictionRatio.record(event.elapsedMs / event.predictedMs);
  }

  recordShadow(event: ShadowEnded): void {
    const { model, primary, shadow, outcome } = event;
    const series = obtain(this.#shadows, `${model}\n${primary}\n${shadow}`, () => {
      return new ShadowSeries(event, this.#histograms);
    });
    if (outcome.kind === 'shed') series.add('tensorgate_shadow_shed_total', 'cause', outcome.cause);
    else if (outcome.kind === 'failed') series.add('tensorgate_shadow_failures_total', 'reason', outcome.reason);
    else {
      series.add('tensorgate_shadow_comparisons_total', 'result', outcome.result);
      series.add('tensorgate_shadow_rows_total', 'largest', 'same', outcome.rowsAgreeing);
      series.add('tensorgate_shadow_rows_total', 'largest', 'other', outcome.rowsDisagreeing);
      series.durationOfPrimary.record(outcome.primaryMs / 1_000);
      series.durationOfShadow.record(outcome.shadowMs / 1_000);
      // One infinity would make the sum infinite for good.
      if (outcome.result === 'incomparable' || outcome.absolute === Number.POSITIVE_INFINITY) return;
      series.absolute.record(outcome.absolute);
      series.relative.record(outcome.relative);
    }
  }

  recordRollout({ model, from, to, stage, percent, cause = 'none' }: RolloutChanged): void {
    const series = obtain(this.#rollouts, `${model}\n${from}\n${to}`, () => ({
      labels: { model, from, to },
      percent,
      changes: new Map<string, Count<object>>(),
    }));
    series.percent = percent;
    const labels = { ...series.labels, stage, cause };
    obtain(series.changes, `${stage} ${cause}`, () => ({ labels, value: 0 })).value++;
  }

  recordTenant({ tenant, outcome }: TenantCharged): void {
    obtain(this.#tenants, `${outcome} ${tenant}`, () => ({ labels: { tenant, outcome }, value: 0 })).value++;
  }

  recordLimit(limit: string): void {
    obtain(this.#limits, limit, () => ({ labels: { limit }, value: 0 })).value++;
  }

  recordRestart(runner: string): void {
    obtain(this.#restarts, runner, () => ({ labels: { runner }, value: 0 })).value++;
  }

  recordRunnerStart({ model, outcome }: RunnerStarted): void {
    this.#seriesOf(model).startsAs(outcome).value++;
  }

  collect(result: BatchObservableResult, state: GatewayState): void {
    const observe = (name: NamesOf<'counter' | 'gauge'>, value: number, labels = {}): void => {
      const observable = this.observables.get(name);
      if (observable !== undefined) result.observe(observable, value, labels);
    };
    observe('tensorgate_in_flight_requests', state.inFlightRequests);
    observe('tensorgate_in_flight_bytes', state.inFlightBytes);
    observe('tensorgate_in_flight_bytes_limit', state.maxInFlightBytes);
    if (state.transport !== undefined) {
      observe('tensorgate_http2_connections', state.transport.connections);
      observe('tensorgate_http2_streams', state.transport.streams);
      observe('tensorgate_http2_incoming_bytes', state.transport.incomingBytes);
      observe('tensorgate_http2_unread_bytes', state.transport.unreadBytes);
    }
    if (state.http !== undefined) {
      observe('tensorgate_http_connections', state.http.connections);
      observe('tensorgate_http_requests', state.http.requests);
      observe('tensorgate_http_unread_bytes', state.http.unreadBytes);
    }
    for (const { value, labels } of this.#limits.values()) {
      const isOfHttpPort = /^http[A-Z]/.test(labels.limit);
      observe(isOfHttpPort ? 'tensorgate_http_limits_total' : 'tensorgate_http2_limits_total', value, labels);
    }
    const known = this.#describeModels(state.models);
    for (const { load, labels } of known) {
      // The SDK repeats the last value of a gauge that is no longer observed: a model that is gone has to be said so.
      observe('tensorgate_model_ready', load?.state === 'READY' ? 1 : 0, labels);
      observe('tensorgate_runner_down', load?.isDown === true ? 1 : 0, labels);
      observe('tensorgate_model_memory_bytes', load?.memoryBytes ?? 0, labels);
      observe('tensorgate_queue_depth', load?.queuedRequests ?? 0, labels);
      observe('tensorgate_queue_rows', load?.queuedRows ?? 0, labels);
      observe('tensorgate_breaker_state', BREAKER_VALUES[load?.breaker ?? 'closed'], labels);
    }
    for (const series of known) {
      const share = series.load?.paddingShare;
      series.isPadded ||= share !== undefined;
      if (series.isPadded) observe('tensorgate_padding_share', share ?? 0, series.labels);
    }
    for (const { load, labels, predictedMs } of known) {
      for (const rows of predictedMs.keys()) predictedMs.set(rows, 0);
      for (const { rows, ms } of load?.predictions ?? []) predictedMs.set(rows, ms);
      for (const [rows, ms] of predictedMs) observe('tensorgate_predicted_seconds', ms / 1_000, { ...labels, rows });
    }
    for (const { load, labels, cached } of known) {
      if (load?.cacheBytes === undefined && cached.size === 0) continue;
      observe('tensorgate_cache_bytes', load?.cacheBytes ?? 0, labels);
      for (const count of cached.values()) observe('tensorgate_cache_requests_total', count.value, count.labels);
    }
    for (const series of [...known, this.#unknown]) {
      observe('tensorgate_request_bytes_total', series.requestBytes, series.labels);
      observe('tensorgate_response_bytes_total', series.responseBytes, series.labels);
      for (const { value, labels } of series.requests.values()) observe('tensorgate_requests_total', value, labels);
      for (const { value, labels } of series.batches.values()) observe('tensorgate_batches_total', value, labels);
      for (const { value, labels } of series.starts.values()) observe('tensorgate_runner_starts_total', value, labels);
    }
    for (const { value, labels } of [...this.#calls.values()].flatMap((statuses) => [...statuses.values()])) {
      observe('tensorgate_calls_total', value, labels);
    }
    for (const { value, labels } of this.#tenants.values()) observe('tensorgate_tenant_requests_total', value, labels);
    for (const { value, labels } of this.#restarts.values()) observe('tensorgate_runner_restarts_total', value, labels);
    for (const { counts } of this.#shadows.values()) {
      for (const { name, value, labels } of counts.values()) observe(name, value, labels);
    }
    for (const { labels, percent, changes } of this.#rollouts.values()) {
      observe('tensorgate_rollout_percent', percent, labels);
      for (const change of changes.values()) observe('tensorgate_rollout_changes_total', change.value, change.labels);
    }
    const { active }: EventLoopUtilization = performance.eventLoopUtilization();
    observe('tensorgate_event_loop_active_seconds_total', active / 1_000);
  }

  /** The series of every model version that there is, or was. */
  #describeModels(loads: readonly ModelLoad[]): readonly ModelSeries[] {
    const seriesOfAll = (): ModelSeries[] => [...this.#models.values()].flatMap((versions) => [...versions.values()]);
    for (const series of seriesOfAll()) series.load = undefined;
    for (const load of loads) {
      const series = this.#seriesOf(load.ref);
      series.load = load;
      // A rate needs a zero to start from.
      series.requestsFor('none', 'OK');
      series.startsAs('failed');
    }
    return seriesOfAll();
  }

  #seriesOf(model: ModelRef): ModelSeries {
    const versions = obtain(this.#models, model.name, () => new Map<string, ModelSeries>());
    return obtain(versions, model.version, () => new ModelSeries(model, this.#histograms));
  }
}

/** The value at `key`, made where there is none yet. */
function obtain<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  const found = map.get(key);
  if (found !== undefined) return found;
  const made = make();
  map.set(key, made);
  return made;
}
