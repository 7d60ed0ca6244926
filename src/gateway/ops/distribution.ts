/**
 * Histograms: one series of them is a `Distribution`.
 *
 * Those that are scraped are our own, plain numbers that the exporter reads when someone collects: an instrument of
 * OpenTelemetry sorts, joins and hashes the attributes of each value again, which cost more than the rest of a request's
 * bookkeeping together.
 */

import type { Attributes, HrTime, Meter } from '@opentelemetry/api';
import { ValueType } from '@opentelemetry/api';
import { hrTime } from '@opentelemetry/core';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  AggregationTemporality,
  type CollectionResult,
  DataPointType,
  type HistogramMetricData,
  type MetricProducer,
} from '@opentelemetry/sdk-metrics';

export interface Distribution {
  record(value: number): void;
}

export interface HistogramDefinition {
  readonly name: string;
  readonly help: string;
  /** Inclusive upper bounds, ascending; `+Inf` left out. */
  readonly buckets: readonly number[];
}

/** Makes one series of a histogram. */
export type Distribute = (definition: HistogramDefinition, labels: Attributes) => Distribution;

/** Series that record into instruments of `meter`, for an exporter whose reader is not ours. */
export function distributeTo(meter: Meter): Distribute {
  return ({ name, help, buckets }, labels) => {
    // The same instrument each time.
    const advice = { explicitBucketBoundaries: [...buckets] };
    const histogram = meter.createHistogram(name, { description: help, advice });
    return { record: (value) => histogram.record(value, labels) };
  };
}

class Series implements Distribution {
  readonly labels: Attributes;
  readonly counts: number[];
  sum = 0;
  count = 0;
  readonly #bounds: readonly number[];

  constructor(bounds: readonly number[], labels: Attributes) {
    this.#bounds = bounds;
    this.labels = labels;
    this.counts = new Array<number>(bounds.length + 1).fill(0);
  }

  record(value: number): void {
    const bounds = this.#bounds;
    let bucket = 0;
    while (bucket < bounds.length && value > (bounds[bucket] ?? 0)) bucket++;
    this.counts[bucket] = (this.counts[bucket] ?? 0) + 1;
    this.sum += value;
    this.count++;
  }
}

/** Series of our own, and what gives them to an exporter. */
export class Distributions implements MetricProducer {
  readonly #scope: { readonly name: string; readonly version: string };
  readonly #startedAt: HrTime = hrTime();
  readonly #histograms = new Map<string, { readonly definition: HistogramDefinition; readonly series: Series[] }>();

  constructor(scope: { readonly name: string; readonly version: string }) {
    this.#scope = scope;
  }

  readonly distribute: Distribute = (definition, labels) => {
    const series = new Series(definition.buckets, labels);
    const histogram = this.#histograms.get(definition.name) ?? { definition, series: [] };
    this.#histograms.set(definition.name, histogram);
    histogram.series.push(series);
    return series;
  };

  async collect(): Promise<CollectionResult> {
    const metrics = [...this.#histograms.values()].map(({ definition, series }) => this.#metricOf(definition, series));
    const scopeMetrics = [{ scope: this.#scope, metrics }];
    return { resourceMetrics: { resource: resourceFromAttributes({}), scopeMetrics }, errors: [] };
  }

  #metricOf({ name, help, buckets }: HistogramDefinition, series: readonly Series[]): HistogramMetricData {
    const endTime = hrTime();
    return {
      descriptor: { name, description: help, unit: '', valueType: ValueType.DOUBLE },
      aggregationTemporality: AggregationTemporality.CUMULATIVE,
      dataPointType: DataPointType.HISTOGRAM,
      dataPoints: series.map(({ labels, counts, sum, count }) => ({
        startTime: this.#startedAt,
        endTime,
        attributes: labels,
        value: { buckets: { boundaries: [...buckets], counts: [...counts] }, sum, count },
      })),
    };
  }
}
