/** Triton's classification extension: the largest elements of each row, as `value:index` or `value:index:label`. */

import { encodeBytesTensor } from '../../wire/bytes-tensor.ts';
import { DATATYPE_BYTES, type Datatype } from '../../wire/tensor.ts';
import type { BatchAxis } from '../admit/infer-tensors.ts';
import type { OutputTensor } from '../batch/queued-request.ts';

type Reader = (view: DataView, at: number) => number | bigint;

const READERS: { readonly [name in Datatype]?: Reader } = {
  UINT8: (view, at) => view.getUint8(at),
  UINT16: (view, at) => view.getUint16(at, true),
  UINT32: (view, at) => view.getUint32(at, true),
  UINT64: (view, at) => view.getBigUint64(at, true),
  INT8: (view, at) => view.getInt8(at),
  INT16: (view, at) => view.getInt16(at, true),
  INT32: (view, at) => view.getInt32(at, true),
  INT64: (view, at) => view.getBigInt64(at, true),
  FP32: (view, at) => view.getFloat32(at, true),
  FP64: (view, at) => view.getFloat64(at, true),
};

/**
 * A BYTES tensor of shape [rows, min(count, elements of a row)], or without the first axis where the model does not batch.
 * Descending; equal values keep the order of their indices; NaN counts as largest, so that it is seen.
 */
export function classify(
  output: OutputTensor,
  count: number,
  labels: readonly string[],
  axis: BatchAxis,
): OutputTensor {
  const read = READERS[output.datatype];
  if (read === undefined) throw new TypeError(`${output.datatype} has no classes`);
  const size = DATATYPE_BYTES[output.datatype] ?? 1;
  const rows = axis === 'rows' ? (output.shape[0] ?? 1) : 1;
  const perRow = rows === 0 ? 0 : output.data.byteLength / size / rows;
  const view = new DataView(output.data.buffer, output.data.byteOffset, output.data.byteLength);
  const kept = Math.min(count, perRow);
  const elements: Uint8Array[] = [];
  for (let row = 0; row < rows; row++) {
    const values = Array.from({ length: perRow }, (_, index) => read(view, (row * perRow + index) * size));
    const order = values.map((_, index) => index).sort((a, b) => compare(values[b], values[a]) || a - b);
    for (const index of order.slice(0, kept)) {
      const label = labels[index] ?? '';
      const text = `${format(values[index] ?? 0)}:${index}${label === '' ? '' : `:${label}`}`;
      elements.push(Buffer.from(text));
    }
  }
  const shape = axis === 'rows' ? [rows, kept] : [kept];
  return { name: output.name, datatype: 'BYTES', shape, data: encodeBytesTensor(elements) };
}

function compare(a: number | bigint = 0, b: number | bigint = 0): number {
  const aIsNaN = Number.isNaN(a);
  const bIsNaN = Number.isNaN(b);
  if (aIsNaN || bIsNaN) return Number(aIsNaN) - Number(bIsNaN);
  return a < b ? -1 : a > b ? 1 : 0;
}

/** As C prints `%f`. */
function format(value: number | bigint): string {
  if (typeof value === 'bigint') return `${value}.000000`;
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  // From here on `toFixed` gives an exponent, and a double has no fraction.
  if (Math.abs(value) >= 1e21) return `${BigInt(value)}.000000`;
  return value.toFixed(6);
}
