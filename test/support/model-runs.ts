/** Models of the compressor's tests, run. */

import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Feeds, RunnerOptions, TensorValue } from '../../src/compress/model-run.ts';
import { encodeOnnxModel, type OnnxModel } from '../../src/compress/onnx/model-file.ts';
import type { Shape } from '../../src/wire/tensor.ts';

export const RUNNER: RunnerOptions = { env: process.env };

/** The first output's values for each of `feeds`: in this process, which is quicker than a runner and may fail with the test. */
export async function outputsOf(model: OnnxModel | string, feeds: Iterable<Feeds>): Promise<Float32Array[]> {
  const options: InferenceSession.SessionOptions = { intraOpNumThreads: 1, logSeverityLevel: 4 };
  const session =
    typeof model === 'string'
      ? await InferenceSession.create(model, options)
      : await InferenceSession.create(encodeOnnxModel(model, 'test'), options);
  const answers: Float32Array[] = [];
  for (const feed of feeds) {
    const inputs = Object.fromEntries([...feed].map(([name, value]) => [name, tensorOf(value)]));
    const { data } = (await session.run(inputs))[session.outputNames[0] ?? ''] ?? {};
    if (!(data instanceof Float32Array)) throw new Error('expected FP32');
    answers.push(data);
  }
  await session.release();
  return answers;
}

function tensorOf({ datatype, shape, data }: TensorValue): Tensor {
  const bytes = Uint8Array.from(data);
  if (datatype === 'UINT8') return new Tensor('uint8', bytes, shape);
  if (datatype === 'FP32') return new Tensor('float32', new Float32Array(bytes.buffer), shape);
  if (datatype === 'INT64') return new Tensor('int64', new BigInt64Array(bytes.buffer), shape);
  throw new Error(`no test needs ${datatype}`);
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
