import { type InferParameters, NO_PARAMETERS, type ParameterValue, toParameter } from '../wire/infer-parameter.ts';
import { encodeInferRequest, type RequestedOutput } from '../wire/infer-request.ts';
import { type AnyTensor, encodeTensor } from './tensor.ts';

export type { ParameterValue };

export type Parameters = Readonly<Record<string, ParameterValue>>;

/** The inputs of a model, by name. */
export type Inputs = Readonly<Record<string, AnyTensor>>;

export interface OutputOptions {
  /**
   * Asks for the `classification` largest elements of each row instead of the tensor (Triton's classification
   * extension). The output is then BYTES, with elements such as `0.97:3:cat`: value, index, and label if there are labels.
   */
  readonly classification?: number | undefined;
  readonly parameters?: Parameters | undefined;
}

/** Options of an inference besides its model and its inputs. */
export interface RequestOptions {
  /** The version of the model; without it, the server chooses. */
  readonly version?: string | undefined;
  /** Comes back with the answer, and stands in the server's log. */
  readonly id?: string | undefined;
  /** The outputs to answer with, by name or with options; without it, all. */
  readonly outputs?: readonly string[] | Readonly<Record<string, OutputOptions>> | undefined;
  /** Such as `priority`, `timeout` (microseconds) or `sequence_id`, or what the model takes. */
  readonly parameters?: Parameters | undefined;
}

/** Encodes a `ModelInferRequest` with raw contents: one copy of the tensors, into the message. */
export function encodeRequest(model: string, inputs: Inputs, options: RequestOptions): Buffer {
  const tensors = Object.entries(inputs);
  const chunks = encodeInferRequest({
    modelName: model,
    modelVersion: options.version ?? '',
    id: options.id ?? '',
    parameters: toParameters(options.parameters),
    inputs: tensors.map(([name, { datatype, shape }]) => ({
      name,
      datatype,
      shape,
      parameters: NO_PARAMETERS,
      contents: undefined,
    })),
    outputs: toRequestedOutputs(options.outputs ?? []),
    rawInputContents: tensors.map(([, tensor]) => encodeTensor(tensor)),
  });
  return Buffer.concat(chunks);
}

function toRequestedOutputs(outputs: NonNullable<RequestOptions['outputs']>): RequestedOutput[] {
  if (isNames(outputs)) return outputs.map((name) => ({ name, parameters: NO_PARAMETERS }));
  return Object.entries(outputs).map(([name, { classification, parameters }]) => ({
    name,
    parameters: toParameters(classification === undefined ? parameters : { ...parameters, classification }),
  }));
}

/** `Array.isArray` does not narrow a union with a readonly array. */
function isNames(outputs: NonNullable<RequestOptions['outputs']>): outputs is readonly string[] {
  return Array.isArray(outputs);
}

function toParameters(parameters: Parameters | undefined): InferParameters {
  if (parameters === undefined) return NO_PARAMETERS;
  return new Map(Object.entries(parameters).map(([key, value]) => [key, toParameter(value)]));
}
