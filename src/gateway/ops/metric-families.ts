/**
 * Metrics as families of series, one series for each combination of label values. A recorder asks for a series once and keeps
 * it: counters and gauges are plain numbers, read when someone collects; histograms are made by `distribution.ts`.
 */

import type { Attributes, BatchObservableResult, Meter } from '@opentelemetry/api';
import type { Distribute, Distribution } from './distribution.ts';
import type { MetricDefinition } from './metric-definition.ts';
import { type LabelsOf, METRICS, type MetricName, type NamesOf } from './metric-definitions.ts';

/** One series of a counter or a gauge. */
export interface Sample {
  readonly labels: Attributes;
  value: number;
}

type Samples = ReadonlyMap<string, Sample>;

export class MetricFamilies {
  readonly #distribute: Distribute;
  /** By the name of the metric, then by the values of the labels. */
  readonly #sampled = new Map<MetricName, Map<string, Sample>>();

  constructor(distribute: Distribute) {
    this.#distribute = distribute;
  }

  /** A series of a counter or a gauge: the same one for the same labels. It is exported from now on. */
  sample<Name extends NamesOf<'counter' | 'gauge'>>(name: Name, labels: LabelsOf<Name>): Sample {
    const samples = this.#sampled.get(name) ?? new Map<string, Sample>();
    this.#sampled.set(name, samples);
    const key = Object.values(labels).join('\n');
    const sample = samples.get(key) ?? { labels, value: 0 };
    samples.set(key, sample);
    return sample;
  }

  /** A new series of a histogram, to be kept. It is exported from now on. */
  distribution<Name extends NamesOf<'histogram'>>(name: Name, labels: LabelsOf<Name>): Distribution {
    return this.#distribute({ name, ...METRICS[name] }, labels);
  }

  samplesOf(name: MetricName): Iterable<Sample> {
    return (this.#sampled.get(name) ?? (new Map() satisfies Samples)).values();
  }
}

/**
 * Gives the counters and gauges to an exporter of OpenTelemetry, until the returned function is called.
 * @param refresh is awaited before the values are read
 */
export function observeWith(meter: Meter, families: MetricFamilies, refresh: () => Promise<void>): () => void {
  const all: readonly [MetricName, MetricDefinition][] = Object.entries(METRICS) as [MetricName, MetricDefinition][];
  const observables = all
    .filter(([, { kind }]) => kind !== 'histogram')
    .map(([name, { kind, help: description }]) => {
      const make = kind === 'counter' ? meter.createObservableCounter : meter.createObservableGauge;
      return { name, observable: make.call(meter, name, { description }) };
    });
  const collect = async (result: BatchObservableResult): Promise<void> => {
    await refresh();
    for (const { name, observable } of observables) {
      for (const { value, labels } of families.samplesOf(name)) result.observe(observable, value, labels);
    }
  };
  const observed = observables.map(({ observable }) => observable);
  meter.addBatchObservableCallback(collect, observed);
  return () => meter.removeBatchObservableCallback(collect, observed);
}

/** Series that differ in the value of one label, each made when first asked for. A look-up builds and hashes no labels. */
export class SeriesBy<Value, Series> {
  readonly #make: (value: Value) => Series;
  readonly #made = new Map<Value, Series>();

  constructor(make: (value: Value) => Series) {
    this.#make = make;
  }

  get(value: Value): Series {
    const found = this.#made.get(value);
    if (found !== undefined) return found;
    const made = this.#make(value);
    this.#made.set(value, made);
    return made;
  }

  /** Makes the series of these values, which begin at zero: a rate needs a zero to start from. */
  begin(values: readonly Value[]): this {
    for (const value of values) this.get(value);
    return this;
  }

  get size(): number {
    return this.#made.size;
  }

  values(): IterableIterator<Series> {
    return this.#made.values();
  }
}
