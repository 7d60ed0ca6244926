/** Affine quantization: real = scale * (integer - zero) (Jacob et al., 2018, equation 1). */

import type { Range } from '../calibration.ts';

/** Quantization of activations: uint8, one scale per tensor. */
export interface Quantization {
  readonly scale: number;
  readonly zero: number;
}

const LEAST_SCALE = 2 ** -100;

/**
 * Weights have 7 bits. On x86 processors without VNNI, ONNX Runtime's kernels add two products of uint8 and int8 into 16 bits, and
 * 255 * (64 + 64) is the most that fits: with 8 bits the sums saturate there, and a CNN that keeps 99 % of its classes on one processor
 * keeps 77 % on another (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html, "reduce_range").
 */
const MOST_WEIGHT = 64;

/** The quantization of a range, with 0 in it so that 0 is exact: paddings and ReLUs rely on that. */
export function quantizationOf(range: Range): Quantization {
  const low = Math.min(range.low, 0);
  const high = Math.max(range.high, 0);
  // A tensor that is always 0 needs some scale too.
  const scale = Math.fround(Math.max((high - low) / 255, low === high ? 1 : LEAST_SCALE));
  return { scale, zero: Math.min(255, Math.max(0, Math.round(-low / scale))) };
}

/** A weight: int8 without zero, one scale for each slice along an axis. */
export interface QuantizedWeight {
  readonly integers: Int8Array;
  readonly scales: Float32Array;
}

export interface ChannelOptions {
  /** The scale of each channel is at least this. */
  readonly least?: (channel: number) => number;
  /** Largest integer: 127 only where no kernel multiplies it. */
  readonly most?: number;
}

/** @returns as many scales as `shape` has sizes along `axis`. */
export function quantizeChannels(
  values: Float32Array,
  shape: readonly number[],
  axis: number,
  { least = () => LEAST_SCALE, most = MOST_WEIGHT }: ChannelOptions = {},
): QuantizedWeight {
  const channels = shape[axis] ?? 0;
  const inner = shape.slice(axis + 1).reduce((product, size) => product * size, 1);
  const peaks = new Float64Array(channels);
  for (let index = 0; index < values.length; index++) {
    const channel = Math.floor(index / inner) % channels;
    peaks[channel] = Math.max(peaks[channel] ?? 0, Math.abs(values[index] ?? 0));
  }
  const scales = Float32Array.from(peaks, (peak, channel) => Math.max(peak === 0 ? 1 : peak / most, least(channel)));
  const integers = new Int8Array(values.length);
  for (let index = 0; index < values.length; index++) {
    const scale = scales[Math.floor(index / inner) % channels] ?? 1;
    integers[index] = Math.max(-most, Math.min(most, Math.round((values[index] ?? 0) / scale)));
  }
  return { integers, scales };
}
