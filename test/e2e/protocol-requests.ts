/** Requests to the models of the protocol's tests, which are in order but for what a test changes. */

import { Buffer } from 'node:buffer';
import { identityModel, loopModel, sumModel } from '../support/onnx-models.ts';
import type { ModelFiles } from '../support/repository.ts';
import type { Message } from '../support/stock-client.ts';

const ONE_INSTANCE = { instance_group: [{ count: 1, kind: 'KIND_CPU' }] };

/** Models that serve. */
export const SERVED = {
  /** Batches up to 8 rows of `a` and `b`; knows the classes of `sum`. */
  sum: {
    versions: { 1: sumModel() },
    config: {
      ...ONE_INSTANCE,
      max_batch_size: 8,
      output: [{ name: 'sum', label_filename: 'labels.txt' }, { name: 'difference' }],
    },
    files: { 'labels.txt': 'cat\ndog\n' },
  },
  /** Takes whole shapes. */
  whole: { versions: { 1: identityModel('FP32') }, config: { ...ONE_INSTANCE, max_batch_size: 0 } },
  loop: { versions: { 1: loopModel() }, config: ONE_INSTANCE },
} as const satisfies Record<string, ModelFiles>;

/** Models that do not: the file is none, or the configuration has an unknown field. */
export const BROKEN = {
  broken: { versions: { 1: Buffer.from('this is no model') } },
  misconfigured: { versions: { 1: identityModel('FP32') }, config: { max_batchsize: 8 } },
} as const satisfies Record<string, ModelFiles>;

/** One of three versions is not READY, and another is none that the policy chooses. */
export const VERSIONS: ModelFiles = {
  versions: {
    1: identityModel('FP32'),
    2: identityModel('FP32'),
    3: identityModel('FP32'),
    10: Buffer.from('this is no model'),
  },
  config: { ...ONE_INSTANCE, version_policy: { specific: { versions: [1, 3, 10] } } },
};

export function oneInstance(model: Uint8Array): ModelFiles {
  return { versions: { 1: model }, config: ONE_INSTANCE };
}

export function floats(...values: readonly number[]): Buffer {
  return Buffer.from(Float32Array.from(values).buffer);
}

/** The inputs of `sum`. */
export const A = { name: 'a', datatype: 'FP32', shape: [1, 2] };
export const B = { name: 'b', datatype: 'FP32', shape: [1, 2] };

/** Asks `sum` for [1, 2] + [10, 20]. */
export function sumRequest(changes: Message = {}): Message {
  return { model_name: 'sum', inputs: [A, B], raw_input_contents: [floats(1, 2), floats(10, 20)], ...changes };
}

/** Asks a model with one FP32 input of four elements. */
export function identityRequest(model: string, changes: Message = {}): Message {
  const input = { name: 'input', datatype: 'FP32', shape: [1, 4] };
  return { model_name: model, inputs: [input], raw_input_contents: [floats(1, 2, 3, 4)], ...changes };
}

/** Asks `loop` for a run of about `iterations` times 50 us. */
export function loopRequest(iterations: number, changes: Message = {}): Message {
  return {
    model_name: 'loop',
    inputs: [
      { name: 'iterations', datatype: 'INT64', shape: [1, 1] },
      { name: 'input', datatype: 'FP32', shape: [1, 1] },
    ],
    raw_input_contents: [Buffer.from(BigInt64Array.of(BigInt(iterations)).buffer), floats(1)],
    ...changes,
  };
}

/** The FP32 outputs of a raw answer, by name. */
export function rowsOf(response: Message): Record<string, number[]> {
  return Object.fromEntries(
    response['outputs'].map(({ name }: Message, index: number) => {
      const bytes: Buffer = response['raw_output_contents'][index];
      return [name, [...new Float32Array(new Uint8Array(bytes).buffer)]];
    }),
  );
}
