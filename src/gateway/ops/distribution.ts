/**
 * Histograms: one series of them is a `Distribution`.
 *
 * Those that are scraped are our own, plain numbers that are read when someone collects: an instrument of OpenTelemetry sorts,
 * joins and hashes the attributes of each value again, which cost more than the rest of a request's bookkeeping together.
 */

import type { Attributes, Meter } from '@opentelemetry/api';

/** Where a value was traced. */
export interface TraceRef {
  readonly traceId: string;
  readonly spanId: string;
}

export interface Distribution {
  /** @param trace the value's, where it is traced: the latest of each bucket is kept as its exemplar */
  record(value: number, trace?: TraceRef): void;
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

export interface Exemplar extends TraceRef {
  readonly value: number;
  /** Milliseconds since 1970. */
  readonly atMs: number;
}

export class HistogramSeries implements Distribution {
  readonly labels: Attributes;
  readonly bounds: readonly number[];
  /** By bucket, not cumulative; the last one has no bound. */
  readonly counts: number[];
  sum = 0;
  count = 0;
  /** By bucket; sparse, and absent before the first traced value. */
  exemplars: Exemplar[] | undefined;

  constructor(bounds: readonly number[], labels: Attributes) {
    this.bounds = bounds;
    this.labels = labels;
    this.counts = new Array<number>(bounds.length + 1).fill(0);
  }

  record(value: number, trace?: TraceRef): void {
    const bounds = this.bounds;
    let bucket = 0;
    while (bucket < bounds.length && value > (bounds[bucket] ?? 0)) bucket++;
    this.counts[bucket] = (this.counts[bucket] ?? 0) + 1;
    this.sum += value;
    this.count++;
    if (trace === undefined) return;
    this.exemplars ??= [];
    this.exemplars[bucket] = { traceId: trace.traceId, spanId: trace.spanId, value, atMs: Date.now() };
  }
}

/** Series of our own, by the name of their histogram. */
export class Distributions {
  readonly #series = new Map<string, HistogramSeries[]>();

  readonly distribute: Distribute = ({ name, buckets }, labels) => {
    const series = new HistogramSeries(buckets, labels);
    const ofName = this.#series.get(name) ?? [];
    this.#series.set(name, ofName);
    ofName.push(series);
    return series;
  };

  of(name: string): readonly HistogramSeries[] {
    return this.#series.get(name) ?? [];
  }
}
