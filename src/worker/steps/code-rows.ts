/** From the tensors of a batch to its rows, and from the rows that a code model gives to tensors. */

import { elementCount, type Shape } from '../../wire/tensor.ts';
import { elementTypeOf, TYPED_ARRAYS } from '../element-type.ts';
import type { SessionTensor } from '../protocol.ts';
import { RunFailure } from '../run-failure.ts';
import type { OutputRow, OutputValue, Row, Tensor, TensorData } from './code-model.ts';
import { type StepInput, type StepOutput, textsOf } from './step.ts';

/** The rows of a batch, as views of its tensors; one row where `isBatched` is false. */
export function rowsOf(inputs: readonly StepInput[], tensors: readonly SessionTensor[], isBatched: boolean): Row[] {
  const count = isBatched ? (inputs[0]?.shape[0] ?? 0) : 1;
  return Array.from({ length: count }, (_, row) => {
    // Names of inputs are a model's own: `constructor` may be one.
    const values: Record<string, Tensor> = Object.create(null);
    for (const [at, tensor] of tensors.entries()) {
      const input = inputs[at];
      if (input !== undefined) values[tensor.name] = rowOf(input, tensor, isBatched ? row : undefined);
    }
    return values;
  });
}

function rowOf(input: StepInput, { datatype }: SessionTensor, row: number | undefined): Tensor {
  const shape = row === undefined ? input.shape : input.shape.slice(1);
  const elements = elementCount(shape) ?? 0;
  const from = (row ?? 0) * elements;
  const { data } = input;
  if (!(data instanceof Uint8Array)) {
    return { datatype, shape, data: textsOf({ shape, data: data.slice(from, from + elements) }) };
  }
  const type = elementTypeOf(datatype);
  if (type === 'string') throw new TypeError('expected texts');
  const View = TYPED_ARRAYS[type];
  const view = new View(data.buffer, data.byteOffset + from * View.BYTES_PER_ELEMENT, elements);
  return { datatype, shape, data: view as TensorData };
}

/** @throws RunFailure where the rows are not those that the configuration declares */
export function outputsOf(
  answers: unknown,
  count: number,
  tensors: readonly SessionTensor[],
  isBatched: boolean,
): StepOutput[] {
  if (!Array.isArray(answers)) throw threw(`infer gave ${kindOf(answers)}, expected an array of rows`);
  if (answers.length !== count) throw threw(`infer gave ${answers.length} rows, expected ${count}`);
  const rows = answers.map((answer: unknown, row) => checkedRow(answer, row, tensors));
  return tensors.map((tensor) => {
    const own = isBatched ? tensor.shape.slice(1) : tensor.shape;
    const parts = rows.map((answer, row) => partOf(answer[tensor.name], tensor, own, row));
    const [first] = parts;
    const shape = first?.shape ?? own.map((size) => Math.max(0, size));
    const odd = parts.findIndex((part) => part.shape.join() !== shape.join());
    if (odd > 0) {
      throw threw(
        `output '${tensor.name}' has the shape [${shape}] in row 0 and [${parts[odd]?.shape}] in row ${odd}: rows of a batch have equal shapes; set max_batch_size: 0`,
      );
    }
    return { shape: isBatched ? [parts.length, ...shape] : shape, data: joined(parts.map(({ data }) => data)) };
  });
}

/** The code of the model is to blame. */
export function threw(message: string): RunFailure {
  return new RunFailure({ kind: 'threw', message: `the code of the model failed: ${message}` });
}

function checkedRow(answer: unknown, row: number, tensors: readonly SessionTensor[]): OutputRow {
  if (typeof answer !== 'object' || answer === null || Array.isArray(answer) || ArrayBuffer.isView(answer)) {
    throw threw(`infer gave ${kindOf(answer)} as row ${row}, expected an object of outputs by name`);
  }
  const names = tensors.map(({ name }) => `'${name}'`).join(', ');
  for (const { name } of tensors) {
    if (!Object.hasOwn(answer, name)) throw threw(`row ${row} has no output '${name}', expected ${names}`);
  }
  const unknown = Object.keys(answer).find((name) => !tensors.some((tensor) => tensor.name === name));
  if (unknown !== undefined) throw threw(`row ${row} has the output '${unknown}', expected ${names}`);
  return answer as OutputRow;
}

interface Part {
  readonly shape: Shape;
  readonly data: Uint8Array | readonly string[];
}

function partOf(value: OutputValue | undefined, tensor: SessionTensor, declared: Shape, row: number): Part {
  const what = `output '${tensor.name}' of row ${row}`;
  const isShaped = typeof value === 'object' && 'data' in value && 'shape' in value;
  const given: unknown = isShaped ? value.data : value;
  const elements = elementsOf(given, tensor, what);
  const { length } = elements;
  const shape = isShaped ? value.shape : shapeFor(declared, length);
  const fits =
    shape?.length === declared.length && shape.every((size, at) => declared[at] === -1 || declared[at] === size);
  if (shape === undefined || !fits || elementCount(shape) !== length) {
    const got = isShaped ? `the shape [${value.shape}] and ${length} elements` : `${length} elements`;
    throw threw(`${what} has ${got}, expected ${tensor.datatype} [${declared}]`);
  }
  if (Array.isArray(elements)) return { shape: [...shape], data: elements };
  const { buffer, byteOffset, byteLength } = elements as Exclude<typeof elements, readonly string[]>;
  return { shape: [...shape], data: new Uint8Array(buffer, byteOffset, byteLength) };
}

/** The declared sizes; of one that is open, what the number of elements leaves. */
function shapeFor(declared: Shape, elements: number): Shape | undefined {
  const open = declared.filter((size) => size === -1).length;
  if (open === 0) return declared;
  const rest = declared.reduce((product, size) => (size === -1 ? product : product * size), 1);
  if (open > 1 || rest === 0 || elements % rest !== 0) return undefined;
  return declared.map((size) => (size === -1 ? elements / rest : size));
}

function elementsOf(
  given: unknown,
  { datatype }: SessionTensor,
  what: string,
): readonly string[] | (ArrayBufferView & { length: number }) {
  const type = elementTypeOf(datatype);
  if (type === 'string') {
    if (Array.isArray(given) && given.every((text) => typeof text === 'string')) return given;
    throw threw(`${what} is ${kindOf(given)}, expected an array of strings for ${datatype}`);
  }
  const View = TYPED_ARRAYS[type];
  if (given instanceof View) return given as ArrayBufferView & { length: number };
  const name = (View as unknown as { name: string }).name;
  if (!Array.isArray(given)) throw threw(`${what} is ${kindOf(given)}, expected ${name} for ${datatype}`);
  try {
    const From = View as unknown as { from(values: readonly unknown[]): ArrayBufferView & { length: number } };
    return From.from(given);
  } catch {
    // Numbers and big integers do not mix.
    throw threw(`${what} has values that are no ${datatype}`);
  }
}

function joined(parts: readonly (Uint8Array | readonly string[])[]): Uint8Array | readonly string[] {
  const [only] = parts;
  if (only !== undefined && parts.length === 1) return only;
  const bytes = parts.filter((part) => part instanceof Uint8Array);
  if (bytes.length > 0 || parts.length === 0) return Buffer.concat(bytes);
  return parts.flatMap((part) => (part instanceof Uint8Array ? [] : part));
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object') return value.constructor?.name ?? 'an object';
  return `a ${typeof value}`;
}
