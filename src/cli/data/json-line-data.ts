import { createReadStream } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { encodeTensor } from '../../client/tensor.ts';
import { DataError, type Dataset, type Sample } from '../../compare/sample.ts';
import { type TextRows, textsIn } from '../../compare/text-tokens.ts';
import { messageOf } from '../../error-message.ts';
import { type InferTensors, UNIT_ROW } from '../../gateway/admit/infer-tensors.ts';
import type { ModelTensor } from '../../gateway/repository/signature/row-axis.ts';
import { formatExactJson, parseExactJson } from '../../wire/exact-json.ts';
import { CliError } from '../cli-error.ts';
import { parseJsonRequest } from '../rest-request.ts';
import type { DataModel } from './data-model.ts';

/**
 * Requests as REST has them, `{"input": [[1, 2]]}`, or `{"text": "…"}`, one a line; each of their rows is a sample. `"label"` beside the inputs is
 * the right class of all rows of the line: its number or its name.
 * @throws CliError that names the line
 */
export async function jsonLineData(file: string, model: DataModel): Promise<Dataset> {
  const samples: Sample[] = [];
  let line = 0;
  try {
    for await (const text of createInterface({ input: createReadStream(file, 'utf8'), crlfDelay: Infinity })) {
      line++;
      // `trim` takes a byte order mark away too.
      const said = text.trim();
      if (said === '') continue;
      samples.push(...(await readLine(said, `${path.basename(file)}:${line}`, model)));
    }
  } catch (error) {
    if (error instanceof CliError || error instanceof DataError) throw error;
    throw new CliError(`'${file}' cannot be read: ${messageOf(error)}`, { cause: error });
  }
  if (samples.length === 0) throw new CliError(`'${file}' holds no rows: expected a request a line`);
  return {
    source: file,
    count: samples.length,
    read: async (index) => {
      const sample = samples[index];
      if (sample === undefined) throw new RangeError(`no row ${index}`);
      return sample;
    },
  };
}

async function readLine(text: string, where: string, { metadata, signature, tokens }: DataModel): Promise<Sample[]> {
  const { body, label } = takeLabel(text, where);
  const texts = signature.inputs.some(({ name }) => name === 'text') ? undefined : textsIn(body);
  if (texts !== undefined) return textSamples(texts, where, { signature, tokens, label });
  const { inputs } = await parseJsonRequest(body, where, async () => metadata);
  const tensors = signature.inputs.map((spec) => {
    const tensor = Object.hasOwn(inputs, spec.name) ? inputs[spec.name] : undefined;
    if (tensor === undefined && spec.default !== undefined) return { spec, ...spec.default, isDefault: true };
    if (tensor === undefined) throw new CliError(`${where}: input '${spec.name}' is missing`);
    const fits =
      tensor.datatype === spec.datatype &&
      tensor.shape.length === spec.shape.length &&
      spec.shape.every((size, axis) => size === -1 || size === tensor.shape[axis]);
    if (fits) return { spec, shape: tensor.shape, data: encodeTensor(tensor), isDefault: false };
    const wanted = `${spec.datatype} [${spec.shape}]`;
    throw new CliError(
      `${where}: input '${spec.name}' is ${tensor.datatype} [${tensor.shape}], and the model takes ${wanted}`,
    );
  });
  const given = tensors.filter(({ isDefault }) => !isDefault);
  const isWhole = signature.batching.kind === 'off' || given.some(({ spec }) => (spec.rowAxis ?? 0) !== 0);
  const rows = isWhole ? 1 : (given[0]?.shape[0] ?? 1);
  const odd = isWhole ? undefined : given.find(({ shape }) => shape[0] !== rows);
  if (odd !== undefined)
    throw new CliError(`${where}: input '${odd.spec.name}' has ${odd.shape[0]} rows, others ${rows}`);
  return Array.from({ length: rows }, (_, row) => ({
    name: rows === 1 ? where : `${where} row ${row}`,
    tensors: sliceOf(tensors, rows, row, isWhole),
    ...(label !== undefined && { label }),
  }));
}

interface Whole {
  readonly spec: ModelTensor;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
  /** The model's own value, which the line leaves out: it serves each row. */
  readonly isDefault: boolean;
}

function sliceOf(tensors: readonly Whole[], rows: number, row: number, isWhole: boolean): InferTensors {
  const inputs = tensors.map(({ data, spec: { datatype }, isDefault }) => {
    if (isDefault) return data;
    if (rows > 1 && datatype === 'BYTES') throw new CliError('rows of texts come one a line');
    const size = data.byteLength / rows;
    return data.subarray(row * size, (row + 1) * size);
  });
  return {
    rows: 1,
    bytes: inputs.reduce((sum, { byteLength }) => sum + byteLength, 0),
    size: UNIT_ROW,
    bucket: '',
    inputs,
    shapes: tensors.map(({ shape, isDefault }) => (isWhole || isDefault ? shape : [1, ...shape.slice(1)])),
  };
}

interface TextContext extends Pick<DataModel, 'signature' | 'tokens'> {
  readonly label: string | number | undefined;
}

/** @throws CliError where the model has no tokenizer, or the texts do not suit it */
function textSamples(texts: TextRows, where: string, { signature, tokens, label }: TextContext): Sample[] {
  if (tokens === undefined) {
    throw new CliError(`${where}: texts for a model without a tokenizer: put its tokenizer.json beside the ONNX file`);
  }
  const rows = tokens.rowsOf(texts, where, signature.inputs);
  return rows.map((row, index) => ({
    name: rows.length === 1 ? where : `${where} row ${index}`,
    tensors: {
      rows: 1,
      bytes: row.reduce((sum, { data }) => sum + data.byteLength, 0),
      size: UNIT_ROW,
      bucket: '',
      inputs: row.map(({ data }) => data),
      shapes: row.map(({ shape }) => shape),
    },
    ...(label !== undefined && { label }),
  }));
}

function takeLabel(text: string, where: string): { body: string; label: string | number | undefined } {
  if (!text.includes('"label"')) return { body: text, label: undefined };
  let json: unknown;
  try {
    json = parseExactJson(text);
  } catch (error) {
    throw new CliError(`${where} is not JSON: ${messageOf(error)}`, { cause: error });
  }
  if (typeof json !== 'object' || json === null || !('label' in json)) return { body: text, label: undefined };
  const { label, ...body } = json;
  // An input may be called so.
  if (Array.isArray(label)) return { body: text, label: undefined };
  if (typeof label !== 'string' && typeof label !== 'number') {
    throw new CliError(`${where}: label is the number of a class, or its name`);
  }
  return { body: formatExactJson(body), label };
}
