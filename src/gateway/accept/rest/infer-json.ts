/**
 * A ModelInferRequest in JSON, its tensors in `data` or in the binary extension behind it, as the message of gRPC (KServe:
 * Open Inference Protocol, inference_rest.md; Triton: extension_binary_data.md).
 */

import { encodeBytesTensor } from '../../../wire/bytes-tensor.ts';
import { type InferParameter, type InferParameters, toParameter } from '../../../wire/infer-parameter.ts';
import type { InferInput, InferRequest, RequestedOutput } from '../../../wire/infer-request.ts';
import { DATATYPE_BYTES, type Shape, type TensorSpec } from '../../../wire/tensor.ts';
import { InferError } from '../../errors.ts';
import type { SliceSource } from '../slices.ts';
import { BinarySection } from './binary-section.ts';
import { readInferDocument } from './infer-document.ts';
import { JsonData, type RequestBounds } from './json-data.ts';
import {
  flagOf,
  hasValue,
  invalid,
  type JsonObject,
  listIn,
  objectIn,
  objectOf,
  refusalOf,
  textIn,
  unexpected,
} from './json-field.ts';

/** Which outputs go behind the JSON of the answer rather than into it. */
export interface BinaryOutputs {
  /** Those that say nothing themselves. */
  readonly all: boolean;
  readonly byName: ReadonlyMap<string, boolean>;
}

export interface ParsedRequest {
  readonly request: InferRequest;
  readonly binary: BinaryOutputs;
}

export interface NamedModel {
  readonly name: string;
  /** `''` lets the server choose. */
  readonly version: string;
}

/** Inputs that are made between two looks at the clock. */
const INPUTS_IN_A_STEP = 64;

/**
 * Keys that are not known are ignored: clients of the protocol add their own.
 * @param headerLength bytes of the JSON at the beginning of the body, where binary tensors follow it
 * @throws InferError `invalid_request`, which names the field; `limit_exceeded`; `queue_full`
 */
export async function parseInferRequest(
  model: NamedModel,
  body: Buffer,
  bounds: RequestBounds,
  headerLength = body.byteLength,
): Promise<ParsedRequest> {
  if (headerLength > body.byteLength) {
    throw invalid(`inference-header-content-length is ${headerLength}, the body has ${body.byteLength} bytes`);
  }
  if (headerLength > bounds.maxJsonBytes) {
    const text = `the JSON of the body is longer than ${bounds.maxJsonBytes} bytes (maxJsonBytes)`;
    throw new InferError('limit_exceeded', text);
  }
  const bytes = body.subarray(0, headerLength);
  const json = objectOf(await documentIn(bytes, bounds.slices), 'the request');
  const section = new BinarySection(body.subarray(headerLength), model.name);
  const data = new JsonData(bytes, bounds);
  const inputs: InferInput[] = [];
  const rawInputContents: Uint8Array[] = [];
  for (const [index, value] of listIn(json, 'inputs', 'the request').entries()) {
    const input = objectOf(value, `inputs[${index}]`);
    const name = textIn(input, 'name', `inputs[${index}]`);
    const where = `input '${name}'`;
    const datatype = textIn(input, 'datatype', where);
    const shape = shapeIn(input, where);
    const { binary_data_size: size, ...parameters } = objectIn(input, 'parameters', where);
    rawInputContents.push(
      size === undefined ? await data.read(input, where, datatype, shape) : section.take(size, name),
    );
    inputs.push({ name, datatype, shape, parameters: parametersOf(parameters, where), contents: undefined });
    if (index % INPUTS_IN_A_STEP === INPUTS_IN_A_STEP - 1 && bounds.slices.isOver) await bounds.slices.next();
  }
  section.end();
  const { binary_data_output: all, ...parameters } = objectIn(json, 'parameters', 'the request');
  const { outputs, byName } = outputsIn(json);
  const request = {
    modelName: model.name,
    modelVersion: model.version,
    id: hasValue(json['id']) ? textIn(json, 'id', 'the request') : '',
    parameters: parametersOf(parameters, 'the request'),
    inputs,
    outputs,
    rawInputContents,
  };
  return { request, binary: { all: all !== undefined && flagOf(all, "'binary_data_output' of the request"), byName } };
}

async function documentIn(bytes: Buffer, slices: SliceSource): Promise<unknown> {
  try {
    return await readInferDocument(bytes, slices);
  } catch (error) {
    throw refusalOf(error);
  }
}

function outputsIn(json: JsonObject): { outputs: readonly RequestedOutput[]; byName: ReadonlyMap<string, boolean> } {
  const byName = new Map<string, boolean>();
  const wanted = hasValue(json['outputs']) ? listIn(json, 'outputs', 'the request') : [];
  const outputs = wanted.map((value, index): RequestedOutput => {
    const output = objectOf(value, `outputs[${index}]`);
    const name = textIn(output, 'name', `outputs[${index}]`);
    const where = `output '${name}'`;
    const { binary_data: binary, ...rest } = objectIn(output, 'parameters', where);
    if (binary !== undefined) byName.set(name, flagOf(binary, `'binary_data' of ${where}`));
    return { name, parameters: parametersOf(rest, where) };
  });
  return { outputs, byName };
}

/**
 * A body that is one tensor and nothing else, for a model of one input whose shape follows from the number of bytes.
 * @throws InferError `invalid_request`
 */
export function rawInferRequest(model: NamedModel, body: Uint8Array, inputs: readonly TensorSpec[]): ParsedRequest {
  const [only] = inputs;
  if (only === undefined || inputs.length > 1) {
    throw invalid(
      `Raw request must only have 1 input (found 1) to be deduced but got ${inputs.length} inputs in '${model.name}' model configuration`,
    );
  }
  const { name, datatype } = only;
  const isText = datatype === 'BYTES';
  const shape = shapeFor(only, isText ? 1 : body.byteLength / (DATATYPE_BYTES[datatype] ?? 1), model.name);
  const request = {
    modelName: model.name,
    modelVersion: model.version,
    id: '',
    parameters: new Map(),
    inputs: [{ name, datatype, shape, parameters: new Map(), contents: undefined }],
    outputs: [],
    rawInputContents: [isText ? encodeBytesTensor([body]) : body],
  };
  return { request, binary: { all: true, byName: new Map() } };
}

/** The shape of one row; if one other axis is open, its size follows from the number of elements. */
function shapeFor({ name, shape }: TensorSpec, elements: number, model: string): Shape {
  const open = shape.map((size, axis) => ({ size, axis })).filter(({ size }) => size === -1);
  // Axis 0 may be a batch axis, which is 1 then.
  const free = open.length > 1 && open[0]?.axis === 0 ? open[1] : open[0];
  const known = shape.reduce((product, size) => product * (size === -1 ? 1 : size), 1);
  const size = elements / known;
  if (open.length <= 2 && Number.isInteger(size) && (free !== undefined || size === 1)) {
    return shape.map((axisSize, axis) => (axisSize !== -1 ? axisSize : axis === free?.axis ? size : 1));
  }
  throw invalid(
    `the shape [${shape}] of input '${name}' of model '${model}' cannot be deduced from ${elements} elements`,
  );
}

function shapeIn(input: JsonObject, where: string): Shape {
  return listIn(input, 'shape', where).map((size, axis) => {
    if (typeof size === 'number' && Number.isInteger(size)) return size;
    if (typeof size === 'bigint') return Number(size);
    throw unexpected(`'shape[${axis}]' of ${where}`, 'a whole number', size);
  });
}

function parametersOf(object: JsonObject, where: string): InferParameters {
  return new Map(
    Object.entries(object).map(([key, value]) => [key, parameterOf(value, `parameter '${key}' of ${where}`)]),
  );
}

function parameterOf(value: unknown, what: string): InferParameter {
  if (
    typeof value === 'boolean' ||
    typeof value === 'string' ||
    typeof value === 'number' ||
    typeof value === 'bigint'
  ) {
    return toParameter(value);
  }
  throw unexpected(what, 'a boolean, a number or a string', value);
}
