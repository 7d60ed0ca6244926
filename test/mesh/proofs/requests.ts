/** What clients send: images to the model of this repository, and the RPCs of the protocol. */

import { encodeRequest, type Inputs, type RequestOptions } from '../../../src/client/inference-request.ts';
import { tensor } from '../../../src/client/tensor.ts';
import { method } from '../../support/stock-client.ts';
import type { Calls } from '../client/calls.ts';

export const INFERENCE = 'inference.GRPCInferenceService';
/** As metrics name it. */
export const MODEL_INFER: string = `${INFERENCE}/ModelInfer`;
export const MODEL = 'cifar10';

type Request = Pick<Calls, 'path' | 'message'>;

/** A grey image of 32 by 32 pixels, as the models of `models/cifar10` take them. */
export function inference(model: string = MODEL, options: RequestOptions = {}): Request {
  return infer(model, { image: tensor.uint8(new Uint8Array(3 * 32 * 32).fill(128), [1, 3, 32, 32]) }, options);
}

export function infer(model: string, inputs: Inputs, options: RequestOptions = {}): Request {
  return { path: `/${MODEL_INFER}`, message: encodeRequest(model, inputs, options).toString('base64') };
}

/** Any RPC of `proto/`, with the fields as the files name them. */
export function rpc(
  name: string,
  fields: Readonly<Record<string, unknown>> = {},
  service: string = INFERENCE,
): Request {
  const { path, requestSerialize } = method(service, name);
  return { path, message: requestSerialize(fields).toString('base64') };
}
