/** One metric, as definitions say it and exporters, documents and queries read it. */
export interface MetricDefinition {
  readonly kind: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
  /** Upper bounds of a histogram's buckets, `+Inf` left out. */
  readonly buckets?: readonly number[];
  /** Labels whose values are a closed set, and the values. */
  readonly values?: Readonly<Record<string, readonly string[]>>;
}
