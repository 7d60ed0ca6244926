/** Made-up requests, with which a model is warmed and its rows are proven independent before it serves. */

import { DATATYPE_BYTES, type Datatype } from '../../../wire/tensor.ts';
import { type InferTensors, UNIT_ROW } from '../../admit/infer-tensors.ts';
import { isMask, type LengthAxis } from '../../repository/signature/length-axis.ts';
import type { ModelTensor } from '../../repository/signature/row-axis.ts';

/**
 * Values to try: `wide` spans a datatype's usual range, `small` is 0 and 1, `zero` is 0. A model may refuse some (an index
 * beyond a vocabulary fails a Gather). Rows of wide values differ most, which is what a proof of independence needs.
 */
export const PROBE_RANGES = ['wide', 'small', 'zero'] as const;
/**
 * Ranges for a mere first run. A model that does not batch may take sizes and steps as inputs (Tile, Pad, STFT): large ones cost
 * gigabytes, and a step of 0 is a division that kills the process.
 */
export const WARM_UP_RANGES = ['one'] as const;
export type ValueRange = (typeof PROBE_RANGES)[number] | (typeof WARM_UP_RANGES)[number];
/** `binary`: 0 or 1, of floating-point datatypes too. */
type FillRange = ValueRange | 'binary';

/** Stands in for values that only real requests have. */
export interface ProbeShape {
  readonly openAxisSize: number;
  readonly range: ValueRange;
  /** By index among the inputs: how many values an integer input takes, counted from 0; `undefined`: as many as `range` has. */
  readonly bounds?: readonly (number | undefined)[];
}

/** Sizes to try for axes that are open besides the batch axis: a convolution fails on a small image, an embedding on a long text. */
export const OPEN_AXIS_SIZES = [16, 1, 32, 64, 128, 224, 320] as const;

/** A seeded generator of numbers in [0, 1) (mulberry32): a probe must give the same verdict at every start. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Inputs of text encoders that hold 0 and 1 whatever the others hold: a segment of 57 fails a Gather. */
function isBinary(name: string): boolean {
  return /token_type|segment_ids/i.test(name);
}

export interface RowRecipe extends Omit<ProbeShape, 'range'> {
  /** Size of the length axis, if it differs from other open axes. */
  readonly length?: { readonly axis: LengthAxis; readonly size: number };
  readonly range: FillRange;
  readonly random: () => number;
  /** Scales floating-point values, so that rows differ in magnitude and not only in pattern. */
  readonly magnitude: number;
}

/** One row for each input (the row axis of size 1 where the model batches, its whole shape otherwise). */
export function syntheticRow(inputs: readonly ModelTensor[], recipe: RowRecipe): InferTensors<Uint8Array> {
  const { openAxisSize, length } = recipe;
  const shapes = inputs.map(({ shape, rowAxis = 0, probeShape, default: value }, index) => {
    if (value !== undefined) return [...value.shape];
    const lengthAxis = length?.axis.inputs.get(index)?.axis;
    return shape.map((size, axis) => {
      if (size >= 0) return size;
      if (length !== undefined && axis === lengthAxis) return length.size;
      return probeShape?.[axis] ?? (axis === rowAxis ? 1 : openAxisSize);
    });
  });
  const values = inputs.map(({ name, datatype, rowAxis, probeValue, default: value }, index) => {
    if (value !== undefined && probeValue === undefined) return value.data;
    const shape = shapes[index] ?? [];
    const elements = shape.reduce((product, size) => product * size, 1);
    const given = probeValue ?? (rowAxis === 'shared' ? 1 : undefined);
    if (given !== undefined) return fill(datatype, elements, () => constant(given));
    if (isMask(name) && (recipe.range === 'wide' || recipe.range === 'small')) {
      return fill(datatype, elements, maskOf(shape.at(-1) ?? 1, recipe.random));
    }
    const range = recipe.range === 'wide' && isBinary(name) ? 'binary' : recipe.range;
    const source = sourceOf({ ...recipe, range }, recipe.bounds?.[index]);
    return fill(datatype, elements, () => source);
  });
  return {
    rows: 1,
    bytes: values.reduce((sum, value) => sum + value.byteLength, 0),
    size: UNIT_ROW,
    bucket: '',
    inputs: values,
    shapes,
  };
}

/** One such row that is the same at every call. */
export function fixedRow(inputs: readonly ModelTensor[], shape: ProbeShape): InferTensors<Uint8Array> {
  return syntheticRow(inputs, { ...shape, random: seededRandom(1), magnitude: 1 });
}

/** Ones, and from some place of the last axis on zeros: models read a mask as a valid prefix and its padding. */
function maskOf(length: number, random: () => number): (index: number) => Source {
  const valid = 1 + Math.floor(random() * length);
  const [one, zero] = [constant(1), constant(0)];
  return (index) => (index % length < valid ? one : zero);
}

/** @param sourceAt by index of the element. */
function fill(datatype: Datatype, elements: number, sourceAt: (index: number) => Source): Uint8Array {
  const bytes = Buffer.alloc((DATATYPE_BYTES[datatype] ?? 5) * elements);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const write = WRITERS[datatype];
  for (let index = 0; index < elements; index++) write(view, index, sourceAt(index));
  return bytes;
}

function sourceOf({ range, random, magnitude }: RowRecipe, bound = Number.POSITIVE_INFINITY): Source {
  const below = (count: number): number => Math.floor(random() * count);
  switch (range) {
    case 'wide': {
      const real = (): number => (random() * 2 - 1) * magnitude;
      return { integer: (wide) => below(Math.min(wide, bound)), bit: () => below(2), fraction: below, real };
    }
    case 'small':
      return { integer: () => below(2), bit: () => below(2), fraction: below, real: random };
    case 'binary':
      return { integer: () => below(2), bit: () => below(2), fraction: () => 0, real: () => below(2) };
    case 'zero':
      return constant(0);
    case 'one':
      return constant(1);
  }
}

function constant(value: number): Source {
  return { integer: () => Math.trunc(value), bit: () => (value === 0 ? 0 : 1), fraction: () => 0, real: () => value };
}

interface Source {
  integer(wide: number): number;
  bit(): number;
  /** The bits behind the point of a value from 1 to 2, of so many. */
  fraction(steps: number): number;
  real(): number;
}

/** How one element is written. 100 as the range of wider integers keeps token ids and indices plausible. */
const WRITERS: Readonly<Record<Datatype, (view: DataView, index: number, source: Source) => void>> = {
  BOOL: (view, index, source) => view.setUint8(index, source.bit()),
  UINT8: (view, index, source) => view.setUint8(index, source.integer(256)),
  UINT16: (view, index, source) => view.setUint16(index * 2, source.integer(100), true),
  UINT32: (view, index, source) => view.setUint32(index * 4, source.integer(100), true),
  UINT64: (view, index, source) => view.setBigUint64(index * 8, BigInt(source.integer(100)), true),
  INT8: (view, index, source) => view.setInt8(index, source.integer(128)),
  INT16: (view, index, source) => view.setInt16(index * 2, source.integer(100), true),
  INT32: (view, index, source) => view.setInt32(index * 4, source.integer(100), true),
  INT64: (view, index, source) => view.setBigInt64(index * 8, BigInt(source.integer(100)), true),
  // 0x3c00 is 1.0; the ten bits below it are the fraction: values from 1 to 2.
  FP16: (view, index, source) =>
    view.setUint16(index * 2, source.bit() === 0 ? 0 : 0x3c00 + source.fraction(0x400), true),
  BF16: (view, index, source) =>
    view.setUint16(index * 2, source.bit() === 0 ? 0 : 0x3f80 + source.fraction(0x80), true),
  FP32: (view, index, source) => view.setFloat32(index * 4, source.real(), true),
  FP64: (view, index, source) => view.setFloat64(index * 8, source.real(), true),
  // One letter.
  BYTES: (view, index, source) => {
    view.setUint32(index * 5, 1, true);
    view.setUint8(index * 5 + 4, 0x61 + source.integer(26));
  },
};
