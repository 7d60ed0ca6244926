/** Groups of series: one group per model version, one per shadow and its primary. */

import { REASONS, type Reason, type StatusName } from '../errors.ts';
import type {
  BatchEnded,
  BreakerState,
  CacheOutcome,
  InferenceEnded,
  ModelRef,
  OutcomeLabel,
  RunnerStarted,
  SendReason,
  ShadowEnded,
  ShedCause,
} from './diagnostics.ts';
import type { Distribution, TraceRef } from './distribution.ts';
import type { ModelGauges } from './gateway-state.ts';
import {
  CACHE_OUTCOMES,
  COMPARISON_RESULTS,
  type ComparisonResult,
  MODEL_REASONS,
  SEND_REASONS,
  SHED_CAUSES,
} from './label-values.ts';
import { type MetricFamilies, type Sample, SeriesBy } from './metric-families.ts';

const BREAKER_VALUES = { closed: 0, 'half-open': 1, open: 2 } as const satisfies Record<BreakerState, number>;

/** Batches of a model version, and the requests in them. */
class RunSeries {
  readonly #queueDuration: Distribution;
  readonly #batches: SeriesBy<SendReason, SeriesBy<OutcomeLabel, Sample>>;
  readonly #batchSize: Distribution;
  readonly #computeDuration: Distribution;
  readonly #transferDuration: Distribution;
  readonly #predictionRatio: Distribution;

  constructor(labels: ModelLabels, families: MetricFamilies) {
    this.#queueDuration = families.distribution('tensorgate_queue_duration_seconds', labels);
    this.#batches = new SeriesBy(
      (reason) =>
        new SeriesBy((outcome) => families.sample('tensorgate_batches_total', { ...labels, reason, outcome })),
    );
    for (const reason of SEND_REASONS) this.#batches.get(reason).get('ok');
    this.#batchSize = families.distribution('tensorgate_batch_size', labels);
    this.#computeDuration = families.distribution('tensorgate_compute_duration_seconds', labels);
    this.#transferDuration = families.distribution('tensorgate_transfer_duration_seconds', labels);
    this.#predictionRatio = families.distribution('tensorgate_prediction_ratio', labels);
  }

  recordQueue(ms: number, trace: TraceRef | undefined): void {
    this.#queueDuration.record(ms / 1_000, trace);
  }

  recordBatch(event: BatchEnded, trace: TraceRef | undefined): void {
    this.#batches.get(event.reason).get(event.outcome).value++;
    this.#batchSize.record(event.rows);
    if (event.outcome !== 'ok') return;
    this.#computeDuration.record(event.computeMs / 1_000, trace);
    this.#transferDuration.record((event.inputMs + event.outputMs) / 1_000);
    if (event.predictedMs !== undefined) this.#predictionRatio.record(event.elapsedMs / event.predictedMs);
  }
}

interface ModelLabels {
  readonly model: string;
  readonly version: string;
}

export class ModelSeries {
  readonly #families: MetricFamilies;
  readonly #labels: ModelLabels;
  readonly #requests: SeriesBy<Reason | 'none', Sample>;
  readonly #requestBytes: Sample;
  readonly #responseBytes: Sample;
  readonly #durations: SeriesBy<StatusName, Distribution>;
  readonly #cached: SeriesBy<CacheOutcome, Sample>;
  readonly #starts: SeriesBy<RunnerStarted['outcome'], Sample>;
  /** By rows. */
  readonly #predicted: SeriesBy<number, Sample>;
  #madeRuns: RunSeries | undefined;
  #padding: Sample | undefined;

  constructor({ name: model, version }: ModelRef, families: MetricFamilies) {
    const labels = { model, version };
    this.#families = families;
    this.#labels = labels;
    this.#requests = new SeriesBy((reason) => {
      const status = reason === 'none' ? 'OK' : REASONS[reason];
      return families.sample('tensorgate_requests_total', { ...labels, status, reason });
    });
    this.#requestBytes = families.sample('tensorgate_request_bytes_total', labels);
    this.#responseBytes = families.sample('tensorgate_response_bytes_total', labels);
    this.#durations = new SeriesBy((status) =>
      families.distribution('tensorgate_request_duration_seconds', { ...labels, status }),
    );
    this.#cached = new SeriesBy((outcome) =>
      families.sample('tensorgate_cache_requests_total', { ...labels, outcome }),
    );
    this.#starts = new SeriesBy((outcome) => families.sample('tensorgate_runner_starts_total', { ...labels, outcome }));
    this.#predicted = new SeriesBy((rows) => families.sample('tensorgate_predicted_seconds', { ...labels, rows }));
  }

  beginRequests(reasons: readonly Reason[]): void {
    this.#requests.begin(reasons);
  }

  recordInference(event: InferenceEnded, trace: TraceRef | undefined): void {
    this.#requests.get(event.reason ?? 'none').value++;
    this.#requestBytes.value += event.requestBytes;
    this.#responseBytes.value += event.responseBytes;
    if (event.cache !== undefined) this.#cached.get(event.cache).value++;
    this.#durations.get(event.status).record(event.durationMs / 1_000, trace);
    if (event.queueMs !== undefined) this.#runs.recordQueue(event.queueMs, trace);
  }

  recordBatch(event: BatchEnded, trace: TraceRef | undefined): void {
    this.#runs.recordBatch(event, trace);
  }

  /** Made for a version that is there, or has run: requests whose model was not found never do. */
  get #runs(): RunSeries {
    this.#madeRuns ??= new RunSeries(this.#labels, this.#families);
    return this.#madeRuns;
  }

  recordStart(outcome: RunnerStarted['outcome']): void {
    this.#starts.get(outcome).value++;
  }

  /**
   * Sets the gauges to the version at this moment, or to 0 where it is gone: the SDK repeats the last value of a gauge that is no
   * longer observed.
   */
  show(gauges: ModelGauges | undefined): void {
    const families = this.#families;
    const labels = this.#labels;
    if (gauges !== undefined) {
      this.#requests.begin(['none', ...MODEL_REASONS]);
      this.#starts.begin(['ok', 'failed']);
      this.#durations.get('OK');
      void this.#runs;
    }
    families.sample('tensorgate_model_ready', labels).value = gauges?.state === 'READY' ? 1 : 0;
    families.sample('tensorgate_runner_down', labels).value = gauges?.isDown === true ? 1 : 0;
    families.sample('tensorgate_model_memory_bytes', labels).value = gauges?.memoryBytes ?? 0;
    families.sample('tensorgate_queue_depth', labels).value = gauges?.queuedRequests ?? 0;
    families.sample('tensorgate_queue_rows', labels).value = gauges?.queuedRows ?? 0;
    families.sample('tensorgate_breaker_state', labels).value = BREAKER_VALUES[gauges?.breaker ?? 'closed'];
    for (const predicted of this.#predicted.values()) predicted.value = 0;
    for (const { rows, ms } of gauges?.predictions ?? []) this.#predicted.get(rows).value = ms / 1_000;
    // These two are shown only for models that have padding or a cache.
    if (gauges?.paddingShare !== undefined) this.#padding ??= families.sample('tensorgate_padding_share', labels);
    if (this.#padding !== undefined) this.#padding.value = gauges?.paddingShare ?? 0;
    if (gauges?.cacheBytes !== undefined || this.#cached.size > 0) {
      this.#cached.begin(CACHE_OUTCOMES);
      families.sample('tensorgate_cache_bytes', labels).value = gauges?.cacheBytes ?? 0;
    }
  }
}

export class ShadowSeries {
  readonly #shed: SeriesBy<ShedCause, Sample>;
  readonly #failures: SeriesBy<Reason, Sample>;
  readonly #comparisons: SeriesBy<ComparisonResult, Sample>;
  /** By whether the largest output of the row is the same. */
  readonly #rows: SeriesBy<'same' | 'other', Sample>;
  readonly #durationOfPrimary: Distribution;
  readonly #durationOfShadow: Distribution;
  readonly #absolute: Distribution;
  readonly #relative: Distribution;

  constructor(labels: Pick<ShadowEnded, 'model' | 'primary' | 'shadow'>, families: MetricFamilies) {
    this.#shed = new SeriesBy((cause) => families.sample('tensorgate_shadow_shed_total', { ...labels, cause }));
    this.#failures = new SeriesBy((reason) =>
      families.sample('tensorgate_shadow_failures_total', { ...labels, reason }),
    );
    this.#comparisons = new SeriesBy((result) =>
      families.sample('tensorgate_shadow_comparisons_total', { ...labels, result }),
    );
    this.#rows = new SeriesBy((largest) => families.sample('tensorgate_shadow_rows_total', { ...labels, largest }));
    this.#durationOfPrimary = families.distribution('tensorgate_shadow_duration_seconds', { ...labels, of: 'primary' });
    this.#durationOfShadow = families.distribution('tensorgate_shadow_duration_seconds', { ...labels, of: 'shadow' });
    this.#shed.begin(SHED_CAUSES);
    this.#failures.begin(MODEL_REASONS);
    this.#comparisons.begin(COMPARISON_RESULTS);
    this.#rows.begin(['same', 'other']);
    this.#absolute = families.distribution('tensorgate_shadow_max_absolute_difference', labels);
    this.#relative = families.distribution('tensorgate_shadow_max_relative_difference', labels);
  }

  record({ outcome }: ShadowEnded): void {
    if (outcome.kind === 'shed') {
      this.#shed.get(outcome.cause).value++;
      return;
    }
    if (outcome.kind === 'failed') {
      this.#failures.get(outcome.reason).value++;
      return;
    }
    this.#comparisons.get(outcome.result).value++;
    this.#rows.get('same').value += outcome.rowsAgreeing;
    this.#rows.get('other').value += outcome.rowsDisagreeing;
    this.#durationOfPrimary.record(outcome.primaryMs / 1_000);
    this.#durationOfShadow.record(outcome.shadowMs / 1_000);
    // One infinity would make the sum infinite for good.
    if (outcome.result === 'incomparable' || outcome.absolute === Number.POSITIVE_INFINITY) return;
    this.#absolute.record(outcome.absolute);
    this.#relative.record(outcome.relative);
  }
}
