/** `{"instances": […], "parameters": {…}}` (Vertex AI: "Custom container requirements"; TensorFlow Serving: RESTful API, row format). */

import type { ControlApi } from '../../control-service.ts';
import type { InferenceApi } from '../../inference-service.ts';
import { type JsonObject, objectIn } from '../json-field.ts';
import { textAt } from '../openai/text-input.ts';
import { TextRequests } from '../openai/text-requests.ts';
import type { RestAnswer, RestContext } from '../rest-route.ts';
import { predictionsOf, tensorsOf } from './rows.ts';
import { servedModel } from './served-model.ts';

/** @throws InferError */
export async function predict(
  api: InferenceApi,
  control: Pick<ControlApi, 'repositoryIndex'>,
  body: JsonObject,
  context: RestContext,
): Promise<RestAnswer> {
  const { model } = objectIn(body, 'parameters', 'the request');
  const named = model === undefined ? undefined : textAt(model, 'parameters.model');
  const name = await servedModel(control, named, "'model' of 'parameters'");
  return predictWith(api, name, body['instances'], context);
}

/** @throws InferError */
export async function predictWith(
  api: InferenceApi,
  model: string,
  instances: unknown,
  { call, charge }: RestContext,
): Promise<RestAnswer> {
  await api.activate(model, call);
  const { inputs, outputs } = api.modelMetadata(model, '');
  const tensors = tensorsOf(
    instances,
    inputs.filter(({ optional }) => optional !== true),
  );
  for (const { data } of tensors) charge.take(data.byteLength);
  const wanted = outputs.map((output) => output.name);
  const answer = await new TextRequests(api, call).ask({ model, inputs: tensors, outputs: wanted });
  const given = wanted.flatMap((name) => answer.get(name) ?? []);
  for (const { data } of given) charge.take(data.byteLength);
  const predictions = predictionsOf(given, (instances as readonly unknown[]).length);
  const json = Buffer.from(`{"predictions":[${predictions.join(',')}]}`);
  charge.take(json.byteLength);
  return { code: 200, chunks: [json] };
}
