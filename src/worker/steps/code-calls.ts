/** The calls of a code model to other models: tensors to messages, and back. */

import { NO_PARAMETERS } from '../../wire/infer-parameter.ts';
import { encodeInferRequest } from '../../wire/infer-request.ts';
import { decodeInferResponse, encodeInferResponse, type InferOutput } from '../../wire/infer-response.ts';
import { MAX_MESSAGE_NEEDS, wireLimitsFor } from '../../wire/limits.ts';
import { elementCount, type TensorSpec } from '../../wire/tensor.ts';
import type { CallChannel } from '../call-channel.ts';
import { elementTypeOf, TYPED_ARRAYS } from '../element-type.ts';
import { decodeStrings, encodeStrings } from '../string-tensor.ts';
import type { CallOptions, Tensor, TensorData } from './code-model.ts';
import type { StepOutput } from './step.ts';

/** The gateway has bounded what it sends. */
const LIMITS = wireLimitsFor(MAX_MESSAGE_NEEDS);

/** Rejects with an Error that names the model. */
export async function callModel(
  channel: CallChannel,
  model: string,
  inputs: Readonly<Record<string, Tensor>>,
  { version = '', deadlineMs = Number.POSITIVE_INFINITY }: CallOptions = {},
): Promise<Readonly<Record<string, Tensor>>> {
  const named = Object.entries(inputs);
  const request = encodeInferRequest({
    modelName: model,
    modelVersion: version,
    id: '',
    parameters: NO_PARAMETERS,
    inputs: named.map(([name, { datatype, shape }]) => ({
      name,
      datatype,
      shape,
      contents: undefined,
      parameters: NO_PARAMETERS,
    })),
    outputs: [],
    rawInputContents: named.map(([name, tensor]) => rawOf(name, tensor)),
  });
  const answer = decodeInferResponse(await channel.call(request, deadlineMs), LIMITS);
  const outputs: Record<string, Tensor> = Object.create(null);
  for (const output of answer.outputs) outputs[output.name] = tensorOf(output);
  return outputs;
}

/** An answer of a decoupled model, in chunks. */
export function encodeAnswer(tensors: readonly TensorSpec[], outputs: readonly StepOutput[]): Uint8Array[] {
  const described = tensors.flatMap(({ name, datatype }, at) => {
    const output = outputs.at(at);
    if (output === undefined) return [];
    const { shape, data } = output;
    return [{ name, datatype, shape, data: data instanceof Uint8Array ? data : encodeStrings(data) }];
  });
  const response = { modelName: '', modelVersion: '', id: '', parameters: NO_PARAMETERS, outputs: described };
  return encodeInferResponse(response, 'raw');
}

function rawOf(name: string, { datatype, shape, data }: Tensor): Uint8Array {
  if (elementCount(shape) !== data.length) {
    throw new TypeError(`input '${name}' has ${data.length} elements, which do not fill the shape [${shape}]`);
  }
  const type = elementTypeOf(datatype);
  if (type === 'string') {
    if (isTexts(data)) return encodeStrings(data);
  } else if (!isTexts(data) && data instanceof TYPED_ARRAYS[type]) {
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  }
  throw new TypeError(`input '${name}' is ${data.constructor.name}, which has no ${datatype}`);
}

function isTexts(data: TensorData): data is readonly string[] {
  return Array.isArray(data);
}

function tensorOf({ datatype, shape, data }: InferOutput): Tensor {
  // JavaScript has no array of BF16: code sees its bits, as with FP16.
  const type = datatype === 'BF16' ? 'float16' : elementTypeOf(datatype);
  if (type === 'string') return { datatype, shape, data: decodeStrings(Buffer.from(data)) };
  // A message aligns nothing: a copy does.
  const bytes = new Uint8Array(data);
  const View = TYPED_ARRAYS[type];
  const values = new View(bytes.buffer, 0, bytes.byteLength / View.BYTES_PER_ELEMENT);
  return { datatype, shape, data: values as TensorData };
}
