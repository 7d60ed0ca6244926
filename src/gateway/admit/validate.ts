/**
 * A request against its model: names, datatypes, shapes, contents. What passes can be run; what does not is refused with a
 * text that names the tensor, what was expected and what came. The texts follow Triton's, which clients match.
 */

import { BYTES_LENGTH_SIZE, BytesTensorError, bytesElementEnd } from '../../wire/bytes-tensor.ts';
import type { InferInput, InferRequest } from '../../wire/infer-request.ts';
import { DATATYPE_BYTES, elementCount, type Shape, type TensorSpec } from '../../wire/tensor.ts';
import { TypedContentsError, typedToRaw } from '../../wire/typed-contents.ts';
import { InferError } from '../errors.ts';
import type { ModelSignature } from '../repository/model-signature.ts';
import type { ModelTensor } from '../repository/row-axis.ts';
import { type BatchAxis, bucketKey, type InferTensors } from './infer-tensors.ts';
import { refuseSharedMemory } from './request-parameters.ts';

/** Largest size of one axis, 2^31 - 1, as in every peer. */
const MAX_AXIS = 0x7fff_ffff;

/** @throws InferError `invalid_request`, or `unimplemented` for shared memory. */
export function validate(request: InferRequest, { inputs, batching }: ModelSignature): InferTensors {
  const model = request.modelName;
  checkNames(request.inputs, inputs, model);
  for (const { name, parameters } of request.inputs) refuseSharedMemory(name, parameters);
  checkRawContents(request);
  const axis: BatchAxis = batching.kind === 'on' ? 'rows' : 'whole';
  const values: Uint8Array[] = [];
  const shapes: Shape[] = [];
  let rows: number | undefined;
  let bytes = 0;
  for (const spec of inputs) {
    const position = request.inputs.findIndex(({ name }) => name === spec.name);
    const input = request.inputs[position];
    if (input === undefined)
      throw invalid(`unable to find data for input tensor '${spec.name}' for model '${model}' in request.`);
    checkDatatype(input, spec, model);
    checkShape(input, spec, model, axis);
    const rowAxis = spec.rowAxis ?? 0;
    if (axis === 'rows' && rowAxis !== 'shared') {
      const own = input.shape[rowAxis] ?? 0;
      if (rows !== undefined && own !== rows)
        throw invalid(`input '${spec.name}' batch size does not match other inputs for '${model}'`);
      rows = own;
    }
    const value = contentsOf(input, spec, model, request.rawInputContents[position]);
    values.push(value);
    shapes.push(input.shape);
    bytes += value.byteLength;
  }
  rows ??= 1;
  if (batching.kind === 'on' && rows > batching.maxRows) {
    throw invalid(
      `inference request batch-size must be <= ${batching.maxRows} for '${model}' (max_batch_size), got ${rows}`,
    );
  }
  return { rows, bytes, inputs: values, shapes, bucket: bucketKey(shapes, axis, inputs, values) };
}

function invalid(text: string): InferError {
  return new InferError('invalid_request', text);
}

function checkNames(given: readonly InferInput[], wanted: readonly TensorSpec[], model: string): void {
  const twice = given.find(({ name }, index) => given.findIndex((other) => other.name === name) !== index);
  if (twice !== undefined) throw invalid(`input '${twice.name}' already exists in request`);
  const unknown = given.find(({ name }) => !wanted.some((spec) => spec.name === name));
  if (given.length === wanted.length && unknown === undefined) return;
  const missing = wanted.filter(({ name }) => !given.some((input) => input.name === name));
  if (missing.length === 0 || given.length === wanted.length) {
    throw invalid(
      `unexpected inference input '${unknown?.name}' for model '${model}', which takes [${quoted(wanted)}]`,
    );
  }
  throw invalid(
    `expected ${wanted.length} inputs but got ${given.length} inputs for model '${model}'. Got input(s) [${quoted(given)}], but missing required input(s) [${quoted(missing)}]. Please provide all required input(s).`,
  );
}

function quoted(tensors: readonly { readonly name: string }[]): string {
  return tensors.map(({ name }) => `'${name}'`).join(',');
}

/** Raw and typed contents exclude each other, and raw entries are given for every input. */
function checkRawContents({ inputs, rawInputContents, modelName }: InferRequest): void {
  if (rawInputContents.length === 0) return;
  const typed = inputs.find(({ contents }) => contents !== undefined && contents.elements > 0);
  if (typed !== undefined) {
    throw invalid(
      `contents field must not be specified when using raw_input_contents for '${typed.name}' for model '${modelName}'`,
    );
  }
  if (rawInputContents.length < inputs.length) {
    const without = inputs[rawInputContents.length]?.name;
    throw invalid(`unable to find data for input tensor '${without}' for model '${modelName}' in request.`);
  }
  if (rawInputContents.length > inputs.length) {
    throw invalid(
      `the number of inputs (${inputs.length}) does not match the expected number of raw input contents (${rawInputContents.length}) for model '${modelName}'.`,
    );
  }
}

function checkDatatype({ name, datatype }: InferInput, spec: TensorSpec, model: string): void {
  if (datatype === spec.datatype) return;
  throw invalid(
    `inference input '${name}' data-type is '${datatype}', but model '${model}' expects '${spec.datatype}'`,
  );
}

function checkShape({ name, shape }: InferInput, spec: ModelTensor, model: string, axis: BatchAxis): void {
  const rowAxis = axis === 'whole' ? 'shared' : (spec.rowAxis ?? 0);
  if (rowAxis !== 'shared' && shape.length === 0) {
    throw invalid(`input '${name}' has no shape but model requires batch dimension for '${model}'`);
  }
  if (shape.includes(-1)) {
    throw invalid(`All input dimensions should be specified for input '${name}' for model '${model}', got [${shape}]`);
  }
  const sizes = shape.every((size) => size >= 0 && size <= MAX_AXIS);
  const fits = shape.length === spec.shape.length && spec.shape.every((size, at) => size === -1 || size === shape[at]);
  if (!sizes || !fits) {
    throw invalid(
      `unexpected shape for input '${name}' for model '${model}'. Expected [${spec.shape}], got [${shape}]`,
    );
  }
  if (rowAxis !== 'shared' && shape[rowAxis] === 0) {
    throw invalid(
      `input '${name}' of model '${model}' has no rows: expected a batch size of at least 1, got [${shape}]`,
    );
  }
}

/** The tensor in raw form, of exactly the bytes that its shape says. */
function contentsOf(input: InferInput, spec: TensorSpec, model: string, raw: Uint8Array | undefined): Uint8Array {
  const elements = elementCount(input.shape);
  if (elements === undefined)
    throw invalid(`input '${spec.name}' of model '${model}' has too many elements: [${input.shape}]`);
  const value = raw ?? typedContents(input, spec, model, elements);
  const size = DATATYPE_BYTES[spec.datatype];
  if (size === undefined) checkStrings(value, elements, spec.name, model);
  else if (value.byteLength !== elements * size) {
    throw invalid(
      `input byte size mismatch for input '${spec.name}' for model '${model}'. Expected ${elements * size}, got ${value.byteLength}`,
    );
  }
  if (spec.datatype === 'BOOL') checkBooleans(value, spec.name, model);
  return value;
}

function typedContents(input: InferInput, spec: TensorSpec, model: string, elements: number): Uint8Array {
  if (input.contents === undefined && elements > 0) {
    throw invalid(`unable to find data for input tensor '${spec.name}' for model '${model}' in request.`);
  }
  if (input.contents === undefined) return new Uint8Array(0);
  try {
    return typedToRaw(input.contents, spec.datatype, elements);
  } catch (error) {
    if (!(error instanceof TypedContentsError)) throw error;
    const { problem } = error;
    switch (problem.kind) {
      case 'wrong_field':
        throw invalid(
          `unexpected explicit tensor data for input tensor '${spec.name}' for model '${model}' of type '${problem.datatype}', expected datatype '${spec.datatype}'`,
        );
      case 'count':
        throw invalid(
          `unexpected number of elements for input '${spec.name}' for model '${model}'. Expected ${problem.expected}, got ${problem.got}`,
        );
      case 'range':
        throw invalid(
          `value ${problem.value} of element ${problem.index} of input '${spec.name}' for model '${model}' is out of range for ${spec.datatype}`,
        );
    }
  }
}

/** ONNX Runtime takes any byte for a truth value, and its kernels rely on 0 and 1. */
function checkBooleans(value: Uint8Array, name: string, model: string): void {
  const index = value.findIndex((byte) => byte > 1);
  if (index < 0) return;
  throw invalid(
    `value ${value[index]} of element ${index} of input '${name}' for model '${model}' is no BOOL: expected 0 or 1`,
  );
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Whole elements, as many as the shape says, each text that ONNX Runtime can hold: it cuts at a NUL and takes no other bytes. */
function checkStrings(value: Uint8Array, elements: number, name: string, model: string): void {
  let count = 0;
  try {
    for (let at = 0; at < value.byteLength; count++) {
      const end = bytesElementEnd(value, at);
      const element = value.subarray(at + BYTES_LENGTH_SIZE, end);
      if (element.includes(0))
        throw invalid(
          `element ${count} of input '${name}' for model '${model}' holds a NUL byte, which a string tensor cannot`,
        );
      utf8.decode(element);
      at = end;
    }
  } catch (error) {
    if (error instanceof InferError) throw error;
    if (error instanceof BytesTensorError) throw invalid(`input '${name}' for model '${model}': ${error.message}`);
    throw invalid(
      `element ${count} of input '${name}' for model '${model}' is not valid UTF-8, which a string tensor must be`,
    );
  }
  if (count < elements)
    throw invalid(
      `expected ${elements} string elements for inference input '${name}' for model '${model}', got ${count}`,
    );
  if (count > elements)
    throw invalid(
      `unexpected number of string elements ${count} for inference input '${name}' for model '${model}', expecting ${elements}`,
    );
}
