/** The output of a classifier: a score for each class. */

import type { OutputTensor } from '../gateway/batch/queued-request.ts';
import type { ModelSignature } from '../gateway/repository/signature/model-signature.ts';
import { shapeOfRow } from '../gateway/repository/signature/row-axis.ts';
import { fromBf16, fromFp16 } from '../wire/half-precision.ts';

export interface ClassOutput {
  readonly name: string;
  readonly size: number;
  /** Class names in order; empty if unknown. */
  readonly names: readonly string[];
}

export interface TopClass {
  readonly class: number;
  readonly name?: string;
  readonly value: number;
}

/**
 * The first output that has one row of scores for each row of input.
 * @returns undefined where the model is no classifier
 */
export function findClassOutput({ outputs, batching }: ModelSignature): ClassOutput | undefined {
  for (const { name, datatype, shape, rowAxis, labels } of outputs) {
    if (!/^(FP|BF)/.test(datatype)) continue;
    const row = batching.kind === 'on' ? shapeOfRow(shape, rowAxis) : shape;
    const [size = 0] = row.slice(-1);
    if (size > 1 && row.slice(0, -1).every((axis) => axis === 1)) return { name, size, names: labels.slice(0, size) };
  }
  return undefined;
}

/** The class with the largest score; of equal ones the first. */
export function largestOf(outputs: readonly OutputTensor[], { name, names }: ClassOutput): TopClass {
  const output = outputs.find((each) => each.name === name);
  const values = output === undefined ? undefined : numbersOf(output);
  if (values === undefined) throw new TypeError(`no numbers in output '${name}'`);
  let place = 0;
  for (let index = 1; index < values.length; index++) {
    if ((values[index] ?? 0) > (values[place] ?? 0)) place = index;
  }
  const label = names[place];
  return { class: place, ...(label !== undefined && { name: label }), value: values[place] ?? 0 };
}

/** The elements of a floating-point output; undefined for others. */
export function numbersOf({ datatype, data }: OutputTensor): ArrayLike<number> | undefined {
  const aligned = data.byteOffset % 8 === 0 ? data : new Uint8Array(data);
  const at = [aligned.buffer, aligned.byteOffset] as const;
  switch (datatype) {
    case 'FP32':
      return new Float32Array(...at, data.byteLength / 4);
    case 'FP64':
      return new Float64Array(...at, data.byteLength / 8);
    case 'FP16':
      return Array.from(new Uint16Array(...at, data.byteLength / 2), fromFp16);
    case 'BF16':
      return Array.from(new Uint16Array(...at, data.byteLength / 2), fromBf16);
    default:
      return undefined;
  }
}
