/**
 * Records the metrics from what the stages publish. Labels take values of closed sets only: models that exist, statuses,
 * reasons, methods of the server.
 */

import { performance } from 'node:perf_hooks';
import type { BatchObservableResult, Meter } from '@opentelemetry/api';
import type { StatusName } from '../errors.ts';
import {
  type CallEnded,
  diagnostics,
  type InferenceEnded,
  type ModelRef,
  type RolloutChanged,
  type ShadowEnded,
  type TenantCharged,
} from './diagnostics.ts';
import type { Distribute } from './distribution.ts';
import type { GatewayState } from './gateway-state.ts';
import { MetricFamilies, type Sample, SeriesBy } from './metric-families.ts';
import { ModelSeries, ShadowSeries } from './metric-series.ts';

/** The label of requests whose model was not found. */
const UNKNOWN_MODEL: ModelRef = { name: 'unknown', version: 'unknown' };

/** Records into instruments of `meter`, and histograms into what `distribute` makes, until the returned function is called. */
export function recordMetrics(
  meter: Meter,
  distribute: Distribute,
  state: () => GatewayState | Promise<GatewayState>,
): () => void {
  const families = new MetricFamilies(meter, distribute);
  const recorder = new MetricsRecorder(families);
  const collect = async (result: BatchObservableResult): Promise<void> => {
    recorder.show(await state());
    families.collect(result);
  };
  meter.addBatchObservableCallback(collect, families.observables);
  const unsubscribe = [
    diagnostics.callEnded.subscribe((event) => recorder.recordCall(event)),
    diagnostics.inferenceEnded.subscribe((event) => recorder.recordInference(event)),
    diagnostics.batchEnded.subscribe((event) => recorder.seriesOf(event.model).recordBatch(event)),
    diagnostics.tenantCharged.subscribe((event) => recorder.recordTenant(event)),
    diagnostics.shadowEnded.subscribe((event) => recorder.recordShadow(event)),
    diagnostics.rolloutChanged.subscribe((event) => recorder.recordRollout(event)),
    diagnostics.limitReached.subscribe(({ limit }) => recorder.recordLimit(limit)),
    diagnostics.acceptorEnded.subscribe(({ acceptor }) => recorder.recordAcceptorEnd(acceptor)),
    diagnostics.runnerEnded.subscribe(({ runner }) => recorder.recordRestart(runner)),
    diagnostics.runnerStarted.subscribe(({ model, outcome }) => recorder.seriesOf(model).recordStart(outcome)),
  ];
  return () => {
    meter.removeBatchObservableCallback(collect, families.observables);
    for (const stop of unsubscribe) stop();
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

  constructor(families: MetricFamilies) {
    this.#families = families;
    this.#models = new SeriesBy((name) => new SeriesBy((version) => new ModelSeries({ name, version }, families)));
    this.#unknown = new ModelSeries(UNKNOWN_MODEL, families);
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
    series.recordInference(event);
  }

  recordShadow(event: ShadowEnded): void {
    this.#shadows.get(event.model).get(event.primary).get(event.shadow).record(event);
  }

  recordRollout({ model, from, to, stage, percent, cause = 'none' }: RolloutChanged): void {
    this.#families.sample('tensorgate_rollout_percent', { model, from, to }).value = percent;
    this.#families.sample('tensorgate_rollout_changes_total', { model, from, to, stage, cause }).value++;
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

  show({ inFlightRequests, inFlightBytes, maxInFlightBytes, models, transport, http }: GatewayState): void {
    const families = this.#families;
    families.sample('tensorgate_in_flight_requests', {}).value = inFlightRequests;
    families.sample('tensorgate_in_flight_bytes', {}).value = inFlightBytes;
    families.sample('tensorgate_in_flight_bytes_limit', {}).value = maxInFlightBytes;
    if (transport !== undefined) {
      families.sample('tensorgate_http2_connections', {}).value = transport.connections;
      families.sample('tensorgate_http2_streams', {}).value = transport.streams;
      families.sample('tensorgate_http2_incoming_bytes', {}).value = transport.incomingBytes;
      families.sample('tensorgate_http2_unread_bytes', {}).value = transport.unreadBytes;
      for (const [acceptor, { connections, activeMs }] of transport.acceptors?.entries() ?? []) {
        families.sample('tensorgate_acceptor_connections', { acceptor }).value = connections;
        families.sample('tensorgate_acceptor_active_seconds_total', { acceptor }).value = activeMs / 1_000;
      }
    }
    if (http !== undefined) {
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
    for (const versions of this.#models.values()) {
      for (const series of versions.values()) series.show(current.get(series));
    }
  }
}
