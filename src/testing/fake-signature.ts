/** The signature of a fake model, and its tensors on the way between the gateway and the function. */

import { type AnyTensor, decodeTensor, encodeTensor } from '../client/tensor.ts';
import type { InferTensors } from '../gateway/admit/infer-tensors.ts';
import type { OutputTensor } from '../gateway/batch/queued-request.ts';
import { dataTypeOf } from '../gateway/repository/config/data-types.ts';
import type { Batching, ModelSignature } from '../gateway/repository/signature/model-signature.ts';
import type { Shape } from '../wire/tensor.ts';
import { bytesOf } from '../wire/tensor-bytes.ts';
import type { FakeModel, FakeTensor, FakeTensors, FakeValues } from './fake-model.ts';

export function signatureOf({ inputs, outputs, maxBatchSize = 0 }: FakeModel): ModelSignature {
  const batching: Batching =
    maxBatchSize > 0 ? { kind: 'on', maxRows: maxBatchSize } : { kind: 'off', reason: 'a fake model has no rows' };
  return {
    inputs: Object.entries(inputs).map(([name, { datatype, shape }]) => ({ name, datatype, shape })),
    outputs: Object.entries(outputs).map(([name, { datatype, shape, labels = [] }]) => {
      return { name, datatype, shape, labels, labelFilename: undefined };
    }),
    batching,
  };
}

/**
 * The configuration of a fake model, in Triton's field names.
 * @throws TypeError where a tensor has no row axis and the model has rows
 */
export function configOf(model: string, { inputs, outputs, maxBatchSize = 0 }: FakeModel): object {
  const list = (tensors: FakeTensors): object[] =>
    Object.entries(tensors).map(([name, { datatype, shape }]) => {
      if (maxBatchSize > 0 && shape[0] !== -1) {
        throw new TypeError(`fake model '${model}': axis 0 of '${name}' counts rows: expected -1, got ${shape[0]}`);
      }
      return { name, data_type: dataTypeOf(datatype), dims: maxBatchSize > 0 ? shape.slice(1) : shape };
    });
  const labels = Object.entries(outputs).flatMap(([name, { labels: classes }]: [string, FakeTensor]) =>
    classes === undefined ? [] : [[`labels.${name}`, JSON.stringify(classes)] as const],
  );
  return {
    max_batch_size: maxBatchSize,
    input: list(inputs),
    output: list(outputs),
    parameters: Object.fromEntries(labels),
  };
}

export function inputsOf({ inputs, shapes }: InferTensors, signature: ModelSignature): FakeValues<FakeTensors> {
  return Object.fromEntries(
    signature.inputs.map(({ name, datatype }, index) => {
      const bytes = inputs[index];
      if (bytes === undefined) throw new TypeError(`no value of input '${name}'`);
      return [name, decodeTensor(datatype, shapes[index] ?? [], bytesOf(bytes))];
    }),
  );
}

/** @throws TypeError where the function did not return what the description of the model says */
export function answerOf(values: FakeValues<FakeTensors>, { outputs }: ModelSignature): OutputTensor[] {
  const given = new Map<string, unknown>(Object.entries(values));
  return outputs.map(({ name, datatype, shape }) => {
    const tensor = given.get(name) as AnyTensor | undefined;
    const wanted = `${datatype} [${shape.join(',')}]`;
    if (tensor === undefined) throw new TypeError(`it returned no output '${name}': expected ${wanted}`);
    if (tensor.datatype !== datatype || !fits(tensor.shape, shape)) {
      throw new TypeError(
        `it returned '${name}' as ${tensor.datatype} [${tensor.shape.join(',')}]: expected ${wanted}`,
      );
    }
    return { name, datatype, shape: tensor.shape, data: encodeTensor(tensor) };
  });
}

function fits(shape: Shape, wanted: Shape): boolean {
  return shape.length === wanted.length && wanted.every((size, axis) => size === -1 || size === shape[axis]);
}
