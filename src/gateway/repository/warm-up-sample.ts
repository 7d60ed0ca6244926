/** Triton's `ModelWarmup`: requests that a model is to run before it serves, compared with what it takes. */

import { isUtf8 } from 'node:buffer';
import { BytesTensorError, decodeBytesTensor } from '../../wire/bytes-tensor.ts';
import { DATATYPE_BYTES, elementCount, type Shape, type TensorSpec } from '../../wire/tensor.ts';
import { dataTypeOf, datatypeOf } from './config/data-types.ts';
import { type ModelConfig, ModelConfigError } from './config/model-config.ts';
import { nameOfWarmUp } from './config/warm-up-name.ts';
import { FileProblem, type ModelFiles, WARM_UP_DIRECTORY } from './model-files.ts';
import type { ModelSignature } from './signature/model-signature.ts';
import { type ModelTensor, shapeOfRow, shapeOfRows } from './signature/row-axis.ts';

export interface WarmUpInput extends TensorSpec {
  /** In raw form. */
  readonly data: Uint8Array | 'random';
}

export interface WarmUpSample {
  /** Such as `model_warmup 'largest image'`. */
  readonly name: string;
  /** How often each row is there. */
  readonly rows: number;
  /** How often each instance runs it. */
  readonly count: number;
  /** In the order of the model's inputs. */
  readonly inputs: readonly WarmUpInput[];
}

type SaidSample = ModelConfig['model_warmup'][number];
type SaidInput = SaidSample['inputs'] extends ReadonlyMap<string, infer Input> ? Input : never;

/** A row is held in memory, and written as often as there are rows. */
const MAX_ROW_BYTES = 256 * 1024 * 1024;

/**
 * @param signature of the session, before running showed anything.
 * @param client what clients send of it: the rest is the server's, and zeros where a sample does not say it.
 * @param files rows among them.
 * @throws ModelConfigError that names the sample, and what does not fit.
 */
export function resolveWarmUps(
  signature: ModelSignature,
  client: Pick<ModelSignature, 'inputs'>,
  { model_warmup: samples }: Pick<ModelConfig, 'model_warmup'>,
  files: ModelFiles,
): readonly WarmUpSample[] {
  const { inputs, batching } = signature;
  const maxRows = batching.kind === 'on' ? batching.maxRows : 1;
  return samples.map((sample, index) => {
    const name = nameOfWarmUp(sample, index);
    const unknown = [...sample.inputs.keys()].find((said) => !inputs.some((input) => input.name === said));
    if (unknown !== undefined) {
      const names = inputs.map((input) => `'${input.name}'`).join(', ');
      throw new ModelConfigError(`${name}: input '${unknown}' is not in the model, which has ${names}`);
    }
    if (sample.batch_size > maxRows) {
      const why =
        batching.kind === 'on' ? `expected at most ${maxRows}` : `the model does not batch: ${batching.reason}`;
      throw new ModelConfigError(`${name}: batch_size is ${sample.batch_size}, ${why}`);
    }
    const isClients = (input: ModelTensor): boolean => client.inputs.some((other) => other.name === input.name);
    return {
      name,
      rows: sample.batch_size,
      count: sample.count,
      inputs: inputs.map((input) => {
        const said = sample.inputs.get(input.name);
        const what = `${name}, input '${input.name}'`;
        if (said === undefined && input.default !== undefined) {
          return { name: input.name, datatype: input.datatype, ...input.default };
        }
        if (said === undefined && isClients(input)) throw new ModelConfigError(`${what} is missing`);
        return said === undefined
          ? zeros(
              input,
              input.shape.map((size) => (size === -1 ? 1 : size)),
              what,
            )
          : resolveInput(said, input, batching.kind === 'on', what, files);
      }),
    };
  });
}

function resolveInput(
  said: SaidInput,
  input: ModelTensor,
  batches: boolean,
  what: string,
  files: ModelFiles,
): WarmUpInput {
  const datatype = datatypeOf(said.data_type);
  if (datatype !== input.datatype) {
    throw new ModelConfigError(`${what}: data_type is ${said.data_type}, the model has ${dataTypeOf(input.datatype)}`);
  }
  const expected = batches ? shapeOfRow(input.shape, input.rowAxis) : input.shape;
  const fits =
    said.dims.length === expected.length && expected.every((size, axis) => size === -1 || size === said.dims[axis]);
  if (!fits) {
    const hint = batches && said.dims.length === expected.length + 1 ? '; leave the batch axis out' : '';
    throw new ModelConfigError(`${what}: dims are [${said.dims}], the model has [${expected}]${hint}`);
  }
  const row = zeros(input, batches ? shapeOfRows(said.dims, 1, input.rowAxis) : said.dims, what);
  if (said.random_data === true) return { ...row, data: 'random' };
  const { input_data_file: file } = said;
  return file === undefined ? row : { ...row, data: readRow(files, file, row, what) };
}

function zeros({ name, datatype }: ModelTensor, shape: Shape, what: string): WarmUpInput & { data: Uint8Array } {
  // An empty text is a length of 0.
  const bytes = (elementCount(shape) ?? Number.POSITIVE_INFINITY) * (DATATYPE_BYTES[datatype] ?? 4);
  if (bytes > MAX_ROW_BYTES) {
    throw new ModelConfigError(`${what}: a row of [${shape}] has ${bytes} bytes, expected at most ${MAX_ROW_BYTES}`);
  }
  return { name, datatype, shape, data: new Uint8Array(bytes) };
}

function readRow(
  files: ModelFiles,
  name: string,
  { datatype, shape, data }: WarmUpInput & { data: Uint8Array },
  what: string,
): Uint8Array {
  const file = `${WARM_UP_DIRECTORY}/${name}`;
  const bytes = files.get(file) ?? new FileProblem('it was not read');
  if (bytes instanceof FileProblem) throw new ModelConfigError(`${what}: ${bytes.message}`);
  const problem = (text: string): ModelConfigError => new ModelConfigError(`${what}: ${file} ${text}`);
  if (datatype !== 'BYTES') {
    if (bytes.byteLength === data.byteLength) return bytes;
    throw problem(`has ${bytes.byteLength} bytes, expected ${data.byteLength} for ${datatype} [${shape}]`);
  }
  const index = decodeTexts(bytes, elementCount(shape) ?? 0, problem).findIndex(
    (text) => text.includes(0) || !isUtf8(text),
  );
  if (index < 0) return bytes;
  throw problem(`has an element ${index} that is not valid UTF-8 without NUL, which a string tensor must be`);
}

function decodeTexts(bytes: Uint8Array, count: number, problem: (text: string) => ModelConfigError): Uint8Array[] {
  try {
    return decodeBytesTensor(bytes, count);
  } catch (error) {
    throw error instanceof BytesTensorError ? problem(`is no tensor of texts: ${error.message}`) : error;
  }
}
