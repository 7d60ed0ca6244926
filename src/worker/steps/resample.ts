/** Resizing of images as Pillow does it, with which most models were trained: two passes with weights in fixed point. */

import type { ImageOptions, ImageSize } from '../step-spec.ts';

/** Interleaved bytes, row by row. */
export interface Pixels extends ImageSize {
  readonly channels: number;
  readonly data: Uint8Array;
}

/** A window of the resized image. */
export interface Window extends ImageSize {
  readonly left: number;
  readonly top: number;
}

type Filter = ImageOptions['filter'];

/** Bits behind the point: a sum of 8-bit values by such weights fits an int32. */
const PRECISION = 22;
const HALF = 1 << (PRECISION - 1);

interface Kernel {
  /** How far it reaches, in pixels of the coarser image. */
  readonly support: number;
  weight(distance: number): number;
}

/** The parameter of the cubic convolution that Pillow uses. */
const CUBIC = -0.5;

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

const KERNELS: Readonly<Record<Exclude<Filter, 'nearest'>, Kernel>> = {
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: {
    support: 2,
    weight(distance) {
      const x = Math.abs(distance);
      if (x < 1) return ((CUBIC + 2) * x - (CUBIC + 3)) * x * x + 1;
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * CUBIC : 0;
    },
  },
  lanczos: { support: 3, weight: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

/** The weights of the pixels that each pixel of an axis is made of. */
interface Axis {
  /** First pixel of the source, by pixel of the result. */
  readonly from: Int32Array;
  /** Number of pixels of the source, by pixel of the result. */
  readonly count: Int32Array;
  /** `stride` weights by pixel of the result. */
  readonly weights: Int32Array;
  readonly stride: number;
}

/** @returns the window of the source as it is when the whole is stretched to `size` */
export function resample(source: Pixels, size: ImageSize, window: Window, filter: Filter): Pixels {
  const across = axisOf(source.width, size.width, window.left, window.width, filter);
  const down = axisOf(source.height, size.height, window.top, window.height, filter);
  const { from, count } = down;
  const top = from.reduce((least, at) => Math.min(least, at), source.height);
  const bottom = from.reduce((most, at, index) => Math.max(most, at + (count[index] as number)), 0);
  return resampleDown(resampleAcross(source, across, { top, rows: bottom - top }), down, top);
}

function axisOf(from: number, to: number, start: number, length: number, filter: Filter): Axis {
  if (from === to) return exactAxis(length, (at) => start + at);
  if (filter === 'nearest') return exactAxis(length, (at) => Math.floor((start + at + 0.5) * (from / to)));
  const { support, weight } = KERNELS[filter];
  const scale = from / to;
  const coarse = Math.max(1, scale);
  const reach = support * coarse;
  const stride = Math.ceil(reach) * 2 + 1;
  const axis = {
    from: new Int32Array(length),
    count: new Int32Array(length),
    weights: new Int32Array(length * stride),
    stride,
  };
  const own = new Float64Array(stride);
  for (let at = 0; at < length; at++) {
    const center = (start + at + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - reach + 0.5));
    const count = Math.min(from, Math.trunc(center + reach + 0.5)) - first;
    let sum = 0;
    for (let tap = 0; tap < count; tap++) {
      own[tap] = weight((tap + first - center + 0.5) / coarse);
      sum += own[tap] as number;
    }
    for (let tap = 0; tap < count; tap++) {
      const share = ((own[tap] as number) / sum) * (1 << PRECISION);
      axis.weights[at * stride + tap] = Math.trunc(share < 0 ? share - 0.5 : share + 0.5);
    }
    axis.from[at] = first;
    axis.count[at] = count;
  }
  return axis;
}

/** Each pixel is one of the source. */
function exactAxis(length: number, place: (at: number) => number): Axis {
  return {
    from: Int32Array.from({ length }, (_, at) => place(at)),
    count: new Int32Array(length).fill(1),
    weights: new Int32Array(length).fill(1 << PRECISION),
    stride: 1,
  };
}

/** Only the rows that are needed. */
function resampleAcross(
  { data, width, channels }: Pixels,
  { from, count, weights, stride }: Axis,
  { top, rows }: { readonly top: number; readonly rows: number },
): Pixels {
  const across = from.length;
  const result = new Uint8ClampedArray(across * rows * channels);
  let target = 0;
  for (let row = 0; row < rows; row++) {
    const line = (top + row) * width;
    for (let at = 0; at < across; at++) {
      const taps = count[at] as number;
      const weight = at * stride;
      const first = (line + (from[at] as number)) * channels;
      for (let channel = 0; channel < channels; channel++) {
        let sum = HALF;
        let source = first + channel;
        for (let tap = 0; tap < taps; tap++) {
          sum = (sum + Math.imul(data[source] as number, weights[weight + tap] as number)) | 0;
          source += channels;
        }
        result[target++] = sum >> PRECISION;
      }
    }
  }
  return { width: across, height: rows, channels, data: new Uint8Array(result.buffer) };
}

/** @param top the row of the source that `data` begins with */
function resampleDown({ data, width, channels }: Pixels, { from, count, weights, stride }: Axis, top: number): Pixels {
  const rows = from.length;
  const line = width * channels;
  const result = new Uint8ClampedArray(rows * line);
  for (let row = 0; row < rows; row++) {
    const taps = count[row] as number;
    const first = ((from[row] as number) - top) * line;
    for (let at = 0; at < line; at++) {
      let sum = HALF;
      let source = first + at;
      for (let tap = 0; tap < taps; tap++) {
        sum = (sum + Math.imul(data[source] as number, weights[row * stride + tap] as number)) | 0;
        source += line;
      }
      result[row * line + at] = sum >> PRECISION;
    }
  }
  return { width, height: rows, channels, data: new Uint8Array(result.buffer) };
}
