/** Data to compare models on: rows of a model's inputs, with the right answers where these are known. */

import type { InferTensors } from '../gateway/admit/infer-tensors.ts';

export interface Sample {
  /** Where it is from, such as a file, or a file and a line. */
  readonly name: string;
  /** One row of every input; a whole request of a model that does not batch. */
  readonly tensors: InferTensors;
  /** The right class: its number, or its name. */
  readonly label?: number | string;
  /** An image file that it was made of. */
  readonly image?: string;
}

/** Samples that are read when they are needed. */
export interface Dataset {
  /** Path of the data, as the user typed it. */
  readonly source: string;
  readonly count: number;
  /** The names of classes, where the samples say them, in alphabetical order. */
  readonly classes?: readonly string[];
  /** @throws DataError */
  read(index: number): Promise<Sample>;
}

/** Data cannot be used; the text says which, and what would be right. */
export class DataError extends Error {}

/** `count` of the samples, spread evenly, so that sorted data keeps every class. */
export function spread(dataset: Dataset, count: number): Dataset {
  if (count >= dataset.count) return dataset;
  const step = dataset.count / count;
  return { ...dataset, count, read: (index) => dataset.read(Math.floor((index + 0.5) * step)) };
}

/** The samples that `spread(dataset, count)` leaves out. */
export function rest(dataset: Dataset, count: number): Dataset {
  if (count >= dataset.count) return { ...dataset, count: 0 };
  const step = dataset.count / count;
  const taken = new Set(Array.from({ length: count }, (_, index) => Math.floor((index + 0.5) * step)));
  const left = Array.from({ length: dataset.count }, (_, index) => index).filter((index) => !taken.has(index));
  return { ...dataset, count: left.length, read: (index) => dataset.read(left[index] ?? 0) };
}

/** Samples with their places in the dataset. */
export interface Batch {
  readonly from: number;
  readonly samples: readonly Sample[];
}

/**
 * The samples in order, in batches of at most `size`; all samples of a batch have equal shapes.
 * @throws DataError
 */
export async function* batchesOf(dataset: Dataset, size: number): AsyncGenerator<Batch> {
  for (let from = 0; from < dataset.count; from += size) {
    const length = Math.min(size, dataset.count - from);
    const samples = await Promise.all(Array.from({ length }, (_, index) => dataset.read(from + index)));
    let start = 0;
    for (let end = 1; end <= samples.length; end++) {
      if (end < samples.length && shapeKey(samples[end]) === shapeKey(samples[start])) continue;
      yield { from: from + start, samples: samples.slice(start, end) };
      start = end;
    }
  }
}

/**
 * The samples of the most frequent shape, in order; of shapes as frequent, the first. Only rows of one shape make a tensor together:
 * texts of unlike length do not.
 */
export function ofOneShape(samples: readonly Sample[]): Sample[] {
  const [first = [], ...others] = byShape(samples);
  return others.reduce((most, group) => (group.length > most.length ? group : most), first);
}

/** The samples in groups of one shape. */
export function byShape(samples: readonly Sample[]): Sample[][] {
  return [...Map.groupBy(samples, shapeKey).values()];
}

function shapeKey(sample: Sample | undefined): string {
  return JSON.stringify(sample?.tensors.shapes);
}
