/** A request of the Open Inference Protocol in JSON, of a path that names no model. */

import { DATATYPE_BYTES, elementCount, isDatatype } from '../../../../wire/tensor.ts';
import type { InferenceApi } from '../../inference-service.ts';
import { type JsonObject, listIn, objectOf, textIn, unexpected } from '../json-field.ts';
import { type Tensor, TextRequests } from '../openai/text-requests.ts';
import type { RestAnswer, RestContext } from '../rest-route.ts';
import { flatOf, rawOf } from './rows.ts';

/** Whether `inputs` are tensors, and not texts. */
export function hasTensors({ inputs }: JsonObject): boolean {
  if (!Array.isArray(inputs)) return false;
  const [first] = inputs as readonly unknown[];
  return typeof first === 'object' && first !== null && !Array.isArray(first);
}

/** @throws InferError */
export async function inferTensors(
  api: InferenceApi,
  model: string,
  body: JsonObject,
  { call, charge }: RestContext,
): Promise<RestAnswer> {
  await api.activate(model, call);
  const inputs = listIn(body, 'inputs', 'the request').map((each, index) => tensorOf(each, index));
  for (const { data } of inputs) charge.take(data.byteLength);
  const wanted = api.modelMetadata(model, '').outputs.map(({ name }) => name);
  const answer = await new TextRequests(api, call).ask({ model, inputs, outputs: wanted });
  const outputs = [...answer.values()].map(({ name, datatype, shape, data }) => {
    charge.take(data.byteLength);
    const elements = flatOf(datatype, data, elementCount(shape) ?? 0);
    return `${JSON.stringify({ name, datatype, shape }).slice(0, -1)},"data":[${elements.join(',')}]}`;
  });
  const json = Buffer.from(`{"model_name":${JSON.stringify(model)},"outputs":[${outputs.join(',')}]}`);
  charge.take(json.byteLength);
  return { code: 200, chunks: [json] };
}

function tensorOf(value: unknown, index: number): Tensor {
  const input = objectOf(value, `inputs[${index}]`);
  const name = textIn(input, 'name', `inputs[${index}]`);
  const where = `input '${name}'`;
  const datatype = textIn(input, 'datatype', where);
  if (!isDatatype(datatype)) {
    throw unexpected(`'datatype' of ${where}`, `one of ${Object.keys(DATATYPE_BYTES).join(', ')}`, datatype);
  }
  const shape = listIn(input, 'shape', where).map((size, axis) => {
    if (typeof size === 'number' && Number.isInteger(size)) return size;
    throw unexpected(`'shape[${axis}]' of ${where}`, 'a whole number', size);
  });
  const data = listIn(input, 'data', where);
  return { name, datatype, shape, data: rawOf(data, { datatype, shape }, `'data' of ${where}`, `inputs[${index}]`) };
}
