/**
 * Records the metrics from what the stages publish. Labels take values of closed sets only: models that exist, statuses,
 * reasons, methods of the server.
 */

import { performance } from 'node:perf_hooks';
import type { StatusName } from '../errors.ts';
import {
  type BatchEnded,
  type CallEnded,
  diagnostics,
  type InferenceEnded,
  type ModelRef,
  type RolloutChanged,
  type ShadowEnded,
  type TenantCharged,
} from './diagnostics.ts';
import type { TraceRef } from './distribution.ts';
import type { GatewayState } from './gateway-state.ts';
import { ROLLBACK_CAUSES, ROLLOUT_STAGES, UNKNOWN_MODEL_REASONS } from './label-values.ts';
import { HTTP_LIMIT_SETTINGS, HTTP2_LIMIT_SETTINGS } from './limit-settings.ts';
import { type MetricFamilies, type Sample, SeriesBy } from './metric-families.ts';
import { ModelSeries, ShadowSeries } from './metric-series.ts';
import type { ObservedCall } from './observed-call.ts';
import { ProcessMetrics, type Versions } from './process-metrics.ts';

/** The label of requests whose model was not found. */
const UNKNOWN_MODEL: ModelRef = { name: 'unknown', version: 'unknown' };

const GRPC_LIMITS = ['maxConcurrentStreams', ...Object.keys(HTTP2_LIMIT_SETTINGS)];
const HTTP_LIMITS = Object.keys(HTTP_LIMIT_SETTINGS);

export interface RecordedFrom {
  readonly state: () => GatewayState | Promise<GatewayState>;
  readonly versions: Versions;
  /** Where a call is traced; absent without traces. */
  readonly traceOf?: TraceOf | undefined;
}

type TraceOf = (call: ObservedCall) => TraceRef | undefined;

export interface Recording {
  /** Sets the gauges to this moment. */
  refresh(): Promise<void>;
  stop(): void;
}

/** Records into `families` until it is stopped. */
export function recordMetrics(families: MetricFamilies, { state, versions, traceOf }: RecordedFrom): Recording {
  const recorder = new MetricsRecorder(families, traceOf);
  const ofProcess = new ProcessMetrics(families, versions);
  const unsubscribe = [
    diagnostics.callEnded.subscribe((event) => recorder.recordCall(event)),
    diagnostics.inferenceEnded.subscribe((event) => recorder.recordInference(event)),
    diagnostics.batchEnded.subscribe((event) => recorder.recordBatch(event)),
    diagnostics.tenantCharged.subscribe((event) => recorder.recordTenant(event)),
    diagnostics.shadowEnded.subscribe((event) => recorder.recordShadow(event)),
    diagnostics.rolloutChanged.subscribe((event) => recorder.recordRollout(event)),
    diagnostics.limitReached.subscribe(({ limit }) => recorder.recordLimit(limit)),
    diagnostics.acceptorEnded.subscribe(({ acceptor }) => recorder.recordAcceptorEnd(acceptor)),
    diagnostics.runnerEnded.subscribe(({ runner }) => recorder.recordRestart(runner)),
    diagnostics.runnerStarted.subscribe(({ model, outcome }) => recorder.seriesOf(model).recordStart(outcome)),
  ];
  return {
    refresh: async () => {
      await ofProcess.refresh();
      recorder.show(await state());
    },
    stop: () => {
      ofProcess.end();
      for (const stop of unsubscribe) stop();
    },
  };
}

class MetricsRecorder {
  readonly #families: MetricFamilies;
  /** By name, then version. A version that is loaded again goes on counting. */
  readonly #models: SeriesBy<string, SeriesBy<string, ModelSeries>>;
  readonly #unknown: ModelSeries;
  /** By path. Calls that reach no method of the server are not published. */
  readonly #calls: SeriesBy<string, SeriesBy<StatusName, Sample>>;
  readonly #tenants: SeriesBy<string, SeriesBy<TenantCharged['outcome'], Sample>>;
  /** By model, version of the primary, and version of the shadow. */
  readonly #shadows: SeriesBy<string, SeriesBy<string, SeriesBy<string, ShadowSeries>>>;
  /** By the name of the setting. */
  readonly #limits: SeriesBy<string, Sample>;
  readonly #restarts: SeriesBy<string, Sample>;
  readonly #traceOf: TraceOf | undefined;

  constructor(families: MetricFamilies, traceOf: TraceOf | undefined) {
    this.#families = families;
    this.#traceOf = traceOf;
    this.#models = new SeriesBy((name) => new SeriesBy((version) => new ModelSeries({ name, version }, families)));
    this.#unknown = new ModelSeries(UNKNOWN_MODEL, families);
    this.#unknown.beginRequests(UNKNOWN_MODEL_REASONS);
    this.#calls = new SeriesBy((path) => {
      const method = path.slice(1);
      return new SeriesBy((status) => families.sample('tensorgate_calls_total', { method, status }));
    });
    this.#tenants = new SeriesBy(
      (tenant) => new SeriesBy((outcome) => families.sample('tensorgate_tenant_requests_total', { tenant, outcome })),
    );
    this.#shadows = new SeriesBy(
      (model) =>
        new SeriesBy((primary) => new SeriesBy((shadow) => new ShadowSeries({ model, primary, shadow }, families))),
    );
    this.#limits = new SeriesBy((limit) => {
      const isOfHttpPort = /^http[A-Z]/.test(limit);
      return families.sample(isOfHttpPort ? 'tensorgate_http_limits_total' : 'tensorgate_http2_limits_total', {
        limit,
      });
    });
    this.#restarts = new SeriesBy((runner) => families.sample('tensorgate_runner_restarts_total', { runner }));
  }

  seriesOf({ name, version }: ModelRef): ModelSeries {
    return this.#models.get(name).get(version);
  }

  recordCall({ call, status }: CallEnded): void {
    this.#calls.get(call.path).get(status).value++;
  }

  recordInference(event: InferenceEnded): void {
    const series = event.model === undefined ? this.#unknown : this.seriesOf(event.model);
    series.recordInference(event, this.#traceOf?.(event.call));
  }

  recordBatch(event: BatchEnded): void {
    const [first] = event.calls;
    const trace = first === undefined ? undefined : this.#traceOf?.(first);
    this.seriesOf(event.model).recordBatch(event, trace);
  }

  recordShadow(event: ShadowEnded): void {
    this.#shadows.get(event.model).get(event.primary).get(event.shadow).record(event);
  }

  recordRollout({ model, from, to, stage, percent, cause = 'none' }: RolloutChanged): void {
    const versions = { model, from, to };
    const changes = (entered: string, why: string): Sample =>
      this.#families.sample('tensorgate_rollout_changes_total', { ...versions, stage: entered, cause: why });
    // From the first change on, for each that may follow.
    for (const each of ROLLOUT_STAGES) {
      for (const why of each === 'rolled_back' ? ROLLBACK_CAUSES : ['none']) changes(each, why);
    }
    changes(stage, cause).value++;
    this.#families.sample('tensorgate_rollout_percent', versions).value = percent;
  }

  recordTenant({ tenant, outcome }: TenantCharged): void {
    this.#tenants.get(tenant).get(outcome).value++;
  }

  recordLimit(limit: string): void {
    this.#limits.get(limit).value++;
  }

  recordAcceptorEnd(acceptor: number): void {
    this.#families.sample('tensorgate_acceptor_restarts_total', { acceptor }).value++;
  }

  recordRestart(runner: string): void {
    this.#restarts.get(runner).value++;
  }

  show({ inFlightRequests, inFlightBytes, maxInFlightBytes, models, transport, http, known }: GatewayState): void {
    const families = this.#families;
    for (const path of known.methods) this.#calls.get(path).get('OK');
    for (const tenant of known.tenants) this.#tenants.get(tenant).begin(['admitted', 'limited']);
    families.sample('tensorgate_in_flight_requests', {}).value = inFlightRequests;
    families.sample('tensorgate_in_flight_bytes', {}).value = inFlightBytes;
    families.sample('tensorgate_in_flight_bytes_limit', {}).value = maxInFlightBytes;
    if (transport !== undefined) {
      this.#limits.begin(GRPC_LIMITS);
      families.sample('tensorgate_http2_connections', {}).value = transport.connections;
      families.sample('tensorgate_http2_streams', {}).value = transport.streams;
      families.sample('tensorgate_http2_incoming_bytes', {}).value = transport.incomingBytes;
      families.sample('tensorgate_http2_unread_bytes', {}).value = transport.unreadBytes;
      for (const [acceptor, { connections, activeMs }] of transport.acceptors?.entries() ?? []) {
        families.sample('tensorgate_acceptor_restarts_total', { acceptor });
        families.sample('tensorgate_acceptor_connections', { acceptor }).value = connections;
        families.sample('tensorgate_acceptor_active_seconds_total', { acceptor }).value = activeMs / 1_000;
      }
    }
    if (http !== undefined) {
      this.#limits.begin(HTTP_LIMITS);
      families.sample('tensorgate_http_connections', {}).value = http.connections;
      families.sample('tensorgate_http_requests', {}).value = http.requests;
      families.sample('tensorgate_http_unread_bytes', {}).value = http.unreadBytes;
    }
    this.#showModels(models);
    const { active } = performance.eventLoopUtilization();
    families.sample('tensorgate_event_loop_active_seconds_total', {}).value = active / 1_000;
  }

  #showModels(models: GatewayState['models']): void {
    const current = new Map(models.map((gauges) => [this.seriesOf(gauges.ref), gauges]));
    for (const { ref, runner, shadow } of models) {
      if (runner !== undefined) this.#restarts.get(runner);
      if (shadow !== undefined) this.#shadows.get(ref.name).get(ref.version).get(shadow);
    }
    for (const versions of this.#models.values()) {
      for (const series of versions.values()) series.show(current.get(series));
    }
  }
}
