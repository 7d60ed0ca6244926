import type { Batching, ModelSignature } from '../../src/gateway/repository/signature/model-signature.ts';
import type { ModelTensor } from '../../src/gateway/repository/signature/row-axis.ts';
import type { InferParameter, InferParameters } from '../../src/wire/infer-parameter.ts';
import type { InferInput, InferRequest } from '../../src/wire/infer-request.ts';
import type { Datatype, Shape, TensorSpec } from '../../src/wire/tensor.ts';
import type { TypedDatatype } from '../../src/wire/typed-contents.ts';
import { rawToTyped } from '../../src/wire/typed-contents-writing.ts';

/** A request for the model `m`. */
export function inferRequest(fields: Partial<InferRequest> = {}): InferRequest {
  return {
    modelName: 'm',
    modelVersion: '',
    id: '',
    parameters: new Map(),
    inputs: [],
    outputs: [],
    rawInputContents: [],
    ...fields,
  };
}

export function inferInput(name: string, datatype: string, shape: Shape, fields: Partial<InferInput> = {}): InferInput {
  return { name, datatype, shape, parameters: new Map(), contents: undefined, ...fields };
}

/** A request with one input, `x`, of raw contents. */
export function rawRequest(datatype: string, shape: Shape, raw: Uint8Array): InferRequest {
  return inferRequest({ inputs: [inferInput('x', datatype, shape)], rawInputContents: [raw] });
}

/** The same with typed contents. */
export function typedRequest(datatype: string, shape: Shape, contents: Uint8Array): InferRequest {
  return inferRequest({ inputs: [inferInput('x', datatype, shape, { contents })] });
}

/** Typed contents as a client would send them for so many elements of a datatype, given in raw form. */
export function typedContents(datatype: TypedDatatype, raw: Uint8Array, elements: number): Uint8Array {
  return new Uint8Array(Buffer.concat(rawToTyped(raw, datatype, elements)));
}

export function parameters(entries: Readonly<Record<string, InferParameter>>): InferParameters {
  return new Map(Object.entries(entries));
}

export function spec(name: string, datatype: Datatype, shape: Shape): TensorSpec {
  return { name, datatype, shape };
}

export function signatureOf(
  inputs: readonly ModelTensor[],
  options: { readonly outputs?: readonly TensorSpec[]; readonly batching?: Batching } = {},
): ModelSignature {
  return {
    inputs,
    outputs: (options.outputs ?? []).map((output) => ({ ...output, labelFilename: undefined, labels: [] })),
    batching: options.batching ?? { kind: 'on', maxRows: 8 },
  };
}
