import fs from 'node:fs';
import path from 'node:path';
import type { Dataset } from '../../compare/sample.ts';
import { messageOf } from '../../error-message.ts';
import { rowOfArrays } from '../../gateway/models/trial/npz-rows.ts';
import { type NpyArray, NpzError, readNpz } from '../../gateway/repository/npz-archive.ts';
import { CliError } from '../cli-error.ts';
import type { DataModel } from './data-model.ts';

/** Names of arrays that may hold the labels. */
const LABELS = ['labels', 'label'] as const;
const MAX_BYTES = 2 ** 31 - 1;

/**
 * Rows of numpy's arrays: one array for each input, by its name or as `input.<name>`, whose axis 0 counts the rows; `labels` holds
 * the numbers of the right classes.
 * @throws CliError where arrays are missing, or do not fit the model
 */
export async function npzData(
  source: string,
  files: readonly string[],
  { signature, metadata }: DataModel,
): Promise<Dataset> {
  const readPart = async (file: string): Promise<Part> => {
    const arrays = await read(file);
    const inputs = new Map<string, NpyArray>();
    for (const { name, datatype, default: value } of signature.inputs) {
      const array = arrays.get(name) ?? arrays.get(`input.${name}`);
      if (array === undefined && value !== undefined) continue;
      if (array === undefined) {
        const has = [...arrays.keys()].join(', ');
        throw new CliError(`'${file}' has no array '${name}', which model '${metadata.name}' takes: it has ${has}`);
      }
      if (array.datatype !== datatype) {
        throw new CliError(`'${file}': array '${name}' is ${array.datatype}, and the model takes ${datatype}`);
      }
      inputs.set(name, array);
    }
    const labels = LABELS.map((name) => arrays.get(name)).find((array) => array !== undefined);
    const counts = [...inputs.values(), ...(labels === undefined ? [] : [labels])].map(({ shape }) => shape[0] ?? 0);
    const [rows = 0] = counts;
    if (rows === 0 || counts.some((count) => count !== rows)) {
      throw new CliError(`'${file}': expected as many rows in each array, and at least one, got ${counts.join(', ')}`);
    }
    // Arrays that do not fit the model are found here, and not after minutes.
    const attempt = (): unknown => rowOfArrays(inputs, signature.inputs, 0, 'row');
    try {
      attempt();
    } catch (error) {
      throw new CliError(`'${file}': ${messageOf(error)}`, { cause: error });
    }
    return { file, rows, inputs, labels: labels === undefined ? undefined : numbersOf(file, labels) };
  };
  const parts: Part[] = [];
  for (const file of files) parts.push(await readPart(file));
  const starts: number[] = [];
  let count = 0;
  for (const { rows } of parts) {
    starts.push(count);
    count += rows;
  }
  return {
    source,
    count,
    read: async (index) => {
      const at = starts.findLastIndex((start) => start <= index);
      const part = parts[at];
      if (part === undefined) throw new RangeError(`no row ${index}`);
      const row = index - (starts[at] ?? 0);
      const label = part.labels?.[row];
      return {
        name: part.rows === 1 ? path.basename(part.file) : `${path.basename(part.file)} row ${row}`,
        tensors: rowOfArrays(part.inputs, signature.inputs, row, 'row'),
        ...(label !== undefined && { label }),
      };
    },
  };
}

interface Part {
  readonly file: string;
  readonly rows: number;
  readonly inputs: ReadonlyMap<string, NpyArray>;
  readonly labels: readonly number[] | undefined;
}

async function read(file: string): Promise<Map<string, NpyArray>> {
  try {
    const { size } = fs.statSync(file);
    if (size > MAX_BYTES) throw new NpzError(`it has ${size} bytes, and at most ${MAX_BYTES} are read`);
    return await readNpz(fs.readFileSync(file));
  } catch (error) {
    throw new CliError(`'${file}' cannot be read: ${messageOf(error)}`, { cause: error });
  }
}

function numbersOf(file: string, { datatype, shape, data }: NpyArray): number[] {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const readers: Partial<Record<NpyArray['datatype'], (row: number) => number>> = {
    UINT8: (row) => view.getUint8(row),
    INT8: (row) => view.getInt8(row),
    INT16: (row) => view.getInt16(row * 2, true),
    UINT16: (row) => view.getUint16(row * 2, true),
    INT32: (row) => view.getInt32(row * 4, true),
    UINT32: (row) => view.getUint32(row * 4, true),
    INT64: (row) => Number(view.getBigInt64(row * 8, true)),
    UINT64: (row) => Number(view.getBigUint64(row * 8, true)),
  };
  const number = readers[datatype];
  if (number === undefined || shape.length !== 1) {
    throw new CliError(`'${file}': labels are whole numbers, one a row, but the array is ${datatype} [${shape}]`);
  }
  return Array.from({ length: shape[0] ?? 0 }, (_, row) => number(row));
}
