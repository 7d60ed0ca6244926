/**
 * A request against its model: names, datatypes, shapes, contents. What passes can be run; what does not is refused with a
 * text that names the tensor, what was expected and what came. The texts follow Triton's, which clients match.
 */

import { BYTES_LENGTH_SIZE } from '../../wire/bytes-tensor.ts';
import type { InferInput, InferRequest } from '../../wire/infer-request.ts';
import { elementCount, type Shape, type TensorSpec } from '../../wire/tensor.ts';
import { bytesOf, type TensorBytes } from '../../wire/tensor-bytes.ts';
import { InferError } from '../errors.ts';
import { type Batching, lengthsOf, type ModelSignature } from '../repository/signature/model-signature.ts';
import { type ModelTensor, withRows } from '../repository/signature/row-axis.ts';
import { axisOf, type BatchAxis, bucketKey, type InferTensors, rowSizeOf } from './infer-tensors.ts';
import { inputField } from './input-field.ts';
import { readInput } from './input-reading.ts';
import { refuseSharedMemory } from './request-parameters.ts';

/** Largest size of one axis, 2^31 - 1, as in every peer. */
const MAX_AXIS = 0x7fff_ffff;

/** The tensors of a request without their contents. */
export interface Description {
  readonly rows: number;
  /** In the order of the model's inputs. */
  readonly shapes: readonly Shape[];
  /**
   * Where each of the model's inputs stands in the request, -1 where it is left out; `undefined`: in the model's order, as most
   * clients send them.
   */
  readonly positions: readonly number[] | undefined;
}

/**
 * A request whose tensors the model takes, in raw form.
 * @param values the contents of the request's inputs, in its order, where they have been read already (`InputsReading`);
 *     `undefined` for those that are still to be read
 * @throws InferError `invalid_request`, `malformed_message`, or `unimplemented` for shared memory.
 */
export function validate(
  request: InferRequest<TensorBytes>,
  signature: ModelSignature,
  values?: readonly (TensorBytes | undefined)[],
): InferTensors {
  const { rows, shapes, positions } = describe(request, signature);
  const inputs: TensorBytes[] = [];
  let bytes = 0;
  for (let index = 0; index < shapes.length; index++) {
    const position = positions?.[index] ?? index;
    const input = request.inputs[position];
    if (input === undefined) {
      const value = defaultOf(signature.inputs[index], shapes[index]);
      inputs.push(value);
      bytes += value.byteLength;
      continue;
    }
    const spec = signature.inputs[index];
    const isBinary = spec?.elements?.isBinary === true;
    const raw = request.rawInputContents[position];
    const value = values?.[position] ?? readInput(input, raw, { model: request.modelName, isBinary });
    checkElements(value, spec, request.modelName);
    inputs.push(value);
    bytes += value.byteLength;
  }
  const axis = axisOf(signature.batching);
  const size = rowSizeOf(shapes, axis, signature.inputs);
  const bucket = bucketKey(shapes, axis, signature.inputs, inputs, lengthsOf(signature.batching));
  return { requestId: request.id, rows, size, bytes, inputs, shapes, bucket };
}

/**
 * All of a request but the contents of its tensors against the model.
 * @throws InferError `invalid_request`, or `unimplemented` for shared memory.
 */
export function describe(request: InferRequest<TensorBytes>, signature: ModelSignature): Description {
  const { inputs, batching } = signature;
  const model = request.modelName;
  const positions = checkNames(request.inputs, signature, model);
  for (const { name, parameters } of request.inputs) refuseSharedMemory(name, parameters);
  checkRawContents(request);
  const axis = axisOf(signature.batching);
  const shapes: Shape[] = [];
  let rows: number | undefined;
  for (const [index, spec] of inputs.entries()) {
    const input = request.inputs[positions?.[index] ?? index];
    if (input === undefined && spec.default !== undefined) {
      shapes.push(spec.default.shape);
      continue;
    }
    if (input === undefined)
      throw invalid(
        `unable to find data for input tensor '${spec.name}' for model '${model}' in request.`,
        inputField(spec.name),
      );
    checkDatatype(input, spec, model);
    checkShape(input, spec, model, axis);
    if (elementCount(input.shape) === undefined)
      throw invalid(
        `input '${spec.name}' of model '${model}' has too many elements: [${input.shape}]`,
        inputField(spec.name, 'shape'),
      );
    const rowAxis = spec.rowAxis ?? 0;
    if (axis === 'rows' && rowAxis !== 'shared') {
      const own = input.shape[rowAxis] ?? 0;
      if (rows !== undefined && own !== rows)
        throw invalid(
          `input '${spec.name}' batch size does not match other inputs for '${model}'`,
          inputField(spec.name, 'shape'),
        );
      rows = own;
    }
    shapes.push(input.shape);
  }
  rows ??= 1;
  if (batching.kind === 'on' && rows > batching.maxRows) checkRows(rows, batching, model);
  if (positions?.includes(-1)) completeDefaults(shapes, positions, rows, signature);
  return { rows, shapes, positions };
}

/** Refuses more rows than a batch has, where larger requests are not split, or too many for that. */
function checkRows(rows: number, { maxRows, requestRows }: Extract<Batching, { kind: 'on' }>, model: string): void {
  const most = requestRows ?? maxRows;
  if (rows <= most) return;
  const source =
    requestRows === undefined ? 'max_batch_size' : `max_batch_size is ${maxRows}, larger requests are split`;
  // Triton's text, up to the bracket.
  throw invalid(`inference request batch-size must be <= ${most} for '${model}' (${source}), got ${rows}`, 'inputs');
}

/** Inputs that a request leaves out have as many rows as those that it brings. */
function completeDefaults(
  shapes: Shape[],
  positions: readonly number[],
  rows: number,
  { inputs, batching }: ModelSignature,
): void {
  for (const [index, { default: value, rowAxis = 0 }] of inputs.entries()) {
    if (positions[index] !== -1 || value === undefined || batching.kind === 'off') continue;
    shapes[index] = withRows(value.shape, rows, rowAxis);
  }
}

/** The default of an input, with its one row as often as the shape says. */
function defaultOf(spec: ModelTensor | undefined, shape: Shape = []): Uint8Array {
  const value = spec?.default;
  if (value === undefined) throw new TypeError(`input '${spec?.name}' has no default`);
  const rows = String(shape) === String(value.shape) ? 1 : (shape[0] ?? 1);
  return rows === 1 ? value.data : Buffer.concat(Array.from({ length: rows }, () => value.data));
}

function invalid(text: string, field: string): InferError {
  return new InferError('invalid_request', text, { field });
}

/** @returns as `Description.positions` */
function checkNames(
  given: readonly InferInput[],
  { inputs: wanted, fixedInputs = [] }: ModelSignature,
  model: string,
): readonly number[] | undefined {
  if (given.length === wanted.length && given.every(({ name }, index) => name === wanted[index]?.name))
    return undefined;
  const names = positionsOf(given);
  const twice = given.find(({ name }, index) => names.get(name) !== index);
  if (twice !== undefined) throw invalid(`input '${twice.name}' already exists in request`, inputField(twice.name));
  const known = positionsOf(wanted);
  const unknown = given.find(({ name }) => !known.has(name));
  if (given.length === wanted.length && unknown === undefined) return wanted.map(({ name }) => names.get(name) ?? -1);
  const fixed = given.find(({ name }) => fixedInputs.includes(name));
  if (fixed !== undefined) {
    throw invalid(
      `input '${fixed.name}' of model '${model}' keeps the default that the model has for it: leave the input out (a request can only bring an input with an initializer in the file, of at most 1 MiB, of a model with ir_version 4 or later)`,
      inputField(fixed.name),
    );
  }
  const required = wanted.filter(({ default: value }) => value === undefined);
  const missing = required.filter(({ name }) => !names.has(name));
  if (missing.length === 0 && unknown === undefined) return wanted.map(({ name }) => names.get(name) ?? -1);
  if (missing.length === 0 || given.length === wanted.length) {
    throw invalid(
      `unexpected inference input '${unknown?.name}' for model '${model}', which takes [${quoted(wanted)}]`,
      inputField(unknown?.name ?? ''),
    );
  }
  const range = `number of inputs between ${required.length} and ${wanted.length}`;
  const expected = required.length === wanted.length ? `${wanted.length} inputs` : range;
  throw invalid(
    `expected ${expected} but got ${given.length} inputs for model '${model}'. Got input(s) [${quoted(given)}], but missing required input(s) [${quoted(missing)}]. Please provide all required input(s).`,
    'inputs',
  );
}

/** Where each name stands; of one that comes twice, the last place. */
function positionsOf(tensors: readonly { readonly name: string }[]): ReadonlyMap<string, number> {
  return new Map(tensors.map(({ name }, index) => [name, index]));
}

function quoted(tensors: readonly { readonly name: string }[]): string {
  return tensors.map(({ name }) => `'${name}'`).join(',');
}

/** Refuses an element that is longer than the model takes, before anything is done with it. */
function checkElements(texts: TensorBytes, spec: ModelTensor | undefined, model: string): void {
  const most = spec?.elements?.maxBytes;
  // Together they are no longer than one of them may be: the common case.
  if (spec === undefined || most === undefined || texts.byteLength <= most) return;
  const value = bytesOf(texts);
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  let index = 0;
  for (let at = 0; at < value.byteLength; index++) {
    const length = view.getUint32(at, true);
    if (length > most) {
      throw invalid(
        `element ${index} of input '${spec.name}' for model '${model}' has ${length} bytes, expected at most ${most} (${spec.elements?.setting})`,
        inputField(spec.name, 'contents'),
      );
    }
    at += BYTES_LENGTH_SIZE + length;
  }
}

/** Raw and typed contents exclude each other, and raw entries are given for every input. */
function checkRawContents({ inputs, rawInputContents, modelName }: InferRequest<TensorBytes>): void {
  if (rawInputContents.length === 0) return;
  const typed = inputs.find(({ contents }) => contents !== undefined && contents.byteLength > 0);
  if (typed !== undefined) {
    throw invalid(
      `contents field must not be specified when using raw_input_contents for '${typed.name}' for model '${modelName}'`,
      inputField(typed.name, 'contents'),
    );
  }
  if (rawInputContents.length < inputs.length) {
    const without = inputs[rawInputContents.length]?.name;
    throw invalid(
      `unable to find data for input tensor '${without}' for model '${modelName}' in request.`,
      'raw_input_contents',
    );
  }
  if (rawInputContents.length > inputs.length) {
    throw invalid(
      `the number of inputs (${inputs.length}) does not match the expected number of raw input contents (${rawInputContents.length}) for model '${modelName}'.`,
      'raw_input_contents',
    );
  }
}

function checkDatatype({ name, datatype }: InferInput, spec: TensorSpec, model: string): void {
  if (datatype === spec.datatype) return;
  throw invalid(
    `inference input '${name}' data-type is '${datatype}', but model '${model}' expects '${spec.datatype}'`,
    inputField(name, 'datatype'),
  );
}

function checkShape({ name, shape }: InferInput, spec: ModelTensor, model: string, axis: BatchAxis): void {
  const rowAxis = axis === 'whole' ? 'shared' : (spec.rowAxis ?? 0);
  if (rowAxis !== 'shared' && shape.length === 0) {
    throw invalid(
      `input '${name}' has no shape but model requires batch dimension for '${model}'`,
      inputField(name, 'shape'),
    );
  }
  if (shape.includes(-1)) {
    throw invalid(
      `All input dimensions should be specified for input '${name}' for model '${model}', got [${shape}]`,
      inputField(name, 'shape'),
    );
  }
  const sizes = shape.every((size) => size >= 0 && size <= MAX_AXIS);
  const fits = shape.length === spec.shape.length && spec.shape.every((size, at) => size === -1 || size === shape[at]);
  if (!sizes || !fits) {
    throw invalid(
      `unexpected shape for input '${name}' for model '${model}'. Expected [${spec.shape}], got [${shape}]`,
      inputField(name, 'shape'),
    );
  }
  if (rowAxis !== 'shared' && shape[rowAxis] === 0) {
    throw invalid(
      `input '${name}' of model '${model}' has no rows: expected a batch size of at least 1, got [${shape}]`,
      inputField(name, 'shape'),
    );
  }
}
