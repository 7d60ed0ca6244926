/** Models of the compressor's tests, run. */

import { type Feeds, openModel, type RunnerOptions, runModel, type TensorValue } from '../../src/compress/model-run.ts';
import type { OnnxModel } from '../../src/compress/onnx/model-file.ts';
import type { Shape } from '../../src/wire/tensor.ts';

export const RUNNER: RunnerOptions = { env: process.env };

/** The first output's values for each of `feeds`. */
export async function outputsOf(
  model: OnnxModel,
  feeds: Iterable<Feeds>,
  options: RunnerOptions = RUNNER,
): Promise<Float32Array[]> {
  await using session = await openModel(model, options);
  const answers: Float32Array[] = [];
  for (const feed of feeds) {
    const [first] = (await runModel(session, feed)).values();
    answers.push(floatsOf(first));
  }
  return answers;
}

export function floatsOf(value: TensorValue | undefined): Float32Array {
  if (value?.datatype !== 'FP32') throw new Error(`expected FP32, got ${value?.datatype}`);
  return new Float32Array(Uint8Array.from(value.data).buffer);
}

export function fp32(name: string, shape: Shape, values: ArrayLike<number>): Feeds {
  return new Map([[name, { datatype: 'FP32', shape, data: new Uint8Array(Float32Array.from(values).buffer) }]]);
}

/** Values from -size to size. */
export function randomFeeds(name: string, shape: Shape, random: () => number, size = 1): Feeds {
  const count = shape.reduce((product, each) => product * each, 1);
  return fp32(
    name,
    shape,
    Array.from({ length: count }, () => (random() * 2 - 1) * size),
  );
}

export function argmax(values: Float32Array): number {
  return values.indexOf(Math.max(...values));
}
