/** Rows as TensorFlow Serving and Vertex AI have them: `{"instances": [row, …]}` becomes `{"predictions": [row, …]}`. */

import { bytesRowEnds, decodeBytesTensor, encodeBytesTensor } from '../../../../wire/bytes-tensor.ts';
import { formatExactJson } from '../../../../wire/exact-json.ts';
import type { InferOutput } from '../../../../wire/infer-response.ts';
import { JsonSpan } from '../../../../wire/json-bytes.ts';
import { JsonTensorError } from '../../../../wire/json-tensor.ts';
import { JsonTensorReader } from '../../../../wire/json-tensor-reader.ts';
import { JsonTensorWriter, MIN_STEP_BYTES } from '../../../../wire/json-tensor-writer.ts';
import { type Datatype, elementCount, type Shape, type TensorSpec } from '../../../../wire/tensor.ts';
import { InferError } from '../../../errors.ts';
import type { JsonObject } from '../json-field.ts';
import { mistake, shown } from '../openai/text-input.ts';
import type { Tensor } from '../openai/text-requests.ts';

/** Longest element in JSON: sign, digits, point, exponent, comma. */
const ELEMENT_BYTES = 32;

/**
 * The inputs of a model from rows: each row is the value of its only input, or an object with a value for each.
 * @throws InferError `invalid_request`
 */
export function tensorsOf(instances: unknown, inputs: readonly TensorSpec[]): readonly Tensor[] {
  if (!Array.isArray(instances)) throw mistake('instances', shown(instances), 'an array of rows');
  if (instances.length === 0) throw mistake('instances', 'an empty array', 'at least one row');
  const [only, ...others] = inputs;
  return inputs.map(({ name, datatype }) => {
    const values = instances.map((row: unknown, index) => {
      const isNamed = isObject(row) && Object.hasOwn(row, name);
      if (isNamed) return row[name];
      if (only !== undefined && others.length === 0 && (!isObject(row) || isBinary(row))) return row;
      throw mistake(`instances[${index}]`, shown(row), `an object with ${inputs.map((each) => each.name).join(', ')}`);
    });
    return { name, datatype, ...(datatype === 'BYTES' ? bytesOf(values, name) : numbersOf(values, name, datatype)) };
  });
}

/** An element that is no text, as TensorFlow Serving writes it. */
function isBinary(value: unknown): value is { readonly b64: string } {
  return isObject(value) && Object.keys(value).length === 1 && typeof value['b64'] === 'string';
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function numbersOf(values: readonly unknown[], name: string, datatype: Datatype): Pick<Tensor, 'shape' | 'data'> {
  const shape = shapeOf(values);
  const what = `rows of input '${name}' are not ${datatype} [${shape}], the shape of the first`;
  return { shape, data: rawOf(values, { datatype, shape }, what, 'instances') };
}

/**
 * The elements of an array, flat or nested, in raw form.
 * @param what begins the text of a refusal
 * @throws InferError `invalid_request`
 */
export function rawOf(
  values: readonly unknown[],
  { datatype, shape }: Pick<TensorSpec, 'datatype' | 'shape'>,
  what: string,
  field: string,
): Uint8Array {
  const json = Buffer.from(formatExactJson(values));
  try {
    const reader = new JsonTensorReader(json, new JsonSpan(0, json.byteLength), datatype, shape);
    reader.advance(json.byteLength);
    return reader.raw;
  } catch (error) {
    if (!(error instanceof JsonTensorError)) throw error;
    throw new InferError('invalid_request', `${what}: ${error.message}`, { field });
  }
}

function bytesOf(values: readonly unknown[], name: string): Pick<Tensor, 'shape' | 'data'> {
  const shape = shapeOf(values);
  const elements = (values as readonly unknown[]).flat(shape.length) as readonly unknown[];
  if (elements.length !== elementCount(shape)) {
    const text = `rows of input '${name}' have ${elements.length} elements, expected [${shape}], the shape of the first`;
    throw new InferError('invalid_request', text, { field: 'instances' });
  }
  const bytes = elements.map((element) => {
    if (typeof element === 'string') return Buffer.from(element);
    if (isBinary(element)) return Buffer.from(element.b64, 'base64');
    throw mistake('instances', shown(element), `strings for input '${name}', or {"b64": …}`);
  });
  return { shape, data: encodeBytesTensor(bytes) };
}

/** By the first element of each level. */
function shapeOf(value: unknown): Shape {
  return Array.isArray(value) ? [value.length, ...shapeOf(value[0])] : [];
}

/** The answer to each row: the value of the only output, or an object with a value for each. */
export function predictionsOf(outputs: readonly InferOutput[], rows: number): string[] {
  const columns = outputs.map((output) => ({ name: output.name, values: rowsOf(output, rows) }));
  const [only, ...others] = columns;
  if (only !== undefined && others.length === 0) return [...only.values];
  return Array.from({ length: rows }, (_, row) => {
    return `{${columns.map(({ name, values }) => `${JSON.stringify(name)}:${values[row]}`).join(',')}}`;
  });
}

/** @throws InferError where the output has no row for each */
function rowsOf({ name, datatype, shape, data }: InferOutput, rows: number): readonly string[] {
  if (shape[0] !== rows) {
    const text = `output '${name}' has the shape [${shape}], expected ${rows} rows: call the model over /v2/models`;
    throw new InferError('invalid_request', text, { field: 'instances' });
  }
  const own = shape.slice(1);
  const elements = elementCount(own) ?? 0;
  const ends = datatype === 'BYTES' ? bytesRowEnds(data, elements, rows) : undefined;
  const size = data.byteLength / rows;
  return Array.from({ length: rows }, (_, row) => {
    const [from, to] = ends === undefined ? [row * size, (row + 1) * size] : [ends[row - 1] ?? 0, ends[row] ?? 0];
    return nested(flatOf(datatype, data.subarray(from, to), elements), own);
  });
}

/** Elements in JSON. */
export function flatOf(datatype: Datatype, raw: Uint8Array, elements: number): readonly string[] {
  if (datatype === 'BYTES') {
    return decodeBytesTensor(raw, elements).map((bytes) => JSON.stringify(Buffer.from(bytes).toString()));
  }
  const target = Buffer.allocUnsafe(elements * ELEMENT_BYTES + MIN_STEP_BYTES);
  const end = new JsonTensorWriter(datatype, raw, elements).write(target, 0);
  return elements === 0 ? [] : target.toString('latin1', 0, end).split(',');
}

function nested(elements: readonly string[], [first, ...rest]: Shape): string {
  if (first === undefined) return elements[0] ?? 'null';
  if (rest.length === 0) return `[${elements.join(',')}]`;
  const size = elements.length / Math.max(1, first);
  const parts = Array.from({ length: first }, (_, at) => nested(elements.slice(at * size, (at + 1) * size), rest));
  return `[${parts.join(',')}]`;
}
