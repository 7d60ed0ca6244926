/**
 * Metrics as families of series, one series for each combination of label values. A recorder asks for a series once and keeps
 * it: OpenTelemetry for JavaScript has no bound instruments, so each `add` builds and hashes its attributes again. Counters and
 * gauges are plain numbers here, read when someone collects; histograms are made series by series (`distribution.ts`).
 */

import type { Attributes, BatchObservableResult, Meter, Observable } from '@opentelemetry/api';
import type { Distribute, Distribution } from './distribution.ts';
import { type LabelsOf, METRICS, type MetricDefinition, type MetricName, type NamesOf } from './metric-definitions.ts';

/** One series of a counter or a gauge. */
export interface Sample {
  readonly labels: Attributes;
  value: number;
}

interface SampledFamily {
  readonly observable: Observable;
  /** By the values of its labels. */
  readonly samples: Map<string, Sample>;
}

export class MetricFamilies {
  readonly #distribute: Distribute;
  readonly #sampled: ReadonlyMap<MetricName, SampledFamily>;

  constructor(meter: Meter, distribute: Distribute) {
    this.#distribute = distribute;
    const sampled = (Object.entries(METRICS) as [MetricName, MetricDefinition][]).filter(
      ([, { kind }]) => kind !== 'histogram',
    );
    this.#sampled = new Map(
      sampled.map(([name, { kind, help: description }]) => {
        const make = kind === 'counter' ? meter.createObservableCounter : meter.createObservableGauge;
        return [name, { observable: make.call(meter, name, { description }), samples: new Map() }];
      }),
    );
  }

  get observables(): Observable[] {
    return [...this.#sampled.values()].map(({ observable }) => observable);
  }

  /** A series of a counter or a gauge: the same one for the same labels. It is exported from now on. */
  sample<Name extends NamesOf<'counter' | 'gauge'>>(name: Name, labels: LabelsOf<Name>): Sample {
    const samples = this.#sampled.get(name)?.samples ?? new Map<string, Sample>();
    const key = Object.values(labels).join('\n');
    const sample = samples.get(key) ?? { labels, value: 0 };
    samples.set(key, sample);
    return sample;
  }

  /** A series of a histogram, to be kept. It is exported once it has a value. */
  distribution<Name extends NamesOf<'histogram'>>(name: Name, labels: LabelsOf<Name>): Distribution {
    return new LazyDistribution(() => this.#distribute({ name, ...METRICS[name] }, labels));
  }

  collect(result: BatchObservableResult): void {
    for (const { observable, samples } of this.#sampled.values()) {
      for (const { value, labels } of samples.values()) result.observe(observable, value, labels);
    }
  }
}

/** A histogram's series that is made when it has its first value. */
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

  get size(): number {
    return this.#made.size;
  }

  values(): IterableIterator<Series> {
    return this.#made.values();
  }
}
