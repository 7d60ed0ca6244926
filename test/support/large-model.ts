/** A model whose weights lie in a file of any size beside it. The file is sparse: its zeros take no room on the disk. */

import fs from 'node:fs';
import path from 'node:path';
import { externalMatrixModel } from './onnx-models.ts';
import type { StockClient } from './stock-client.ts';

const COLUMNS = 4_096;
const WEIGHT_BYTES = 4;

/** Rows of `output`, FP32 [batch,4096], are `input`, FP32 [batch,rows of the matrix], times a matrix of zeros but for one 2. */
export interface LargeModel {
  /** Elements of a row of `input`. */
  readonly rows: number;
  /** An input of only ones gives 2 here, and 0 elsewhere. */
  readonly column: number;
}

/** Writes version 1 of a model into a repository, with weights of about `bytes`. */
export function writeLargeModel(repository: string, name: string, bytes: number): LargeModel {
  const rows = Math.ceil(bytes / WEIGHT_BYTES / COLUMNS);
  const directory = path.join(repository, name, '1');
  fs.mkdirSync(directory, { recursive: true });
  fs.writeFileSync(path.join(directory, 'model.onnx'), externalMatrixModel(rows, COLUMNS, 'weights.bin'));
  const file = fs.openSync(path.join(directory, 'weights.bin'), 'w');
  try {
    fs.ftruncateSync(file, rows * COLUMNS * WEIGHT_BYTES);
    const column = COLUMNS - 7;
    fs.writeSync(
      file,
      new Uint8Array(Float32Array.of(2).buffer),
      0,
      WEIGHT_BYTES,
      ((rows - 1) * COLUMNS + column) * WEIGHT_BYTES,
    );
    return { rows, column };
  } finally {
    fs.closeSync(file);
  }
}

/** Where the answer to an input of only ones is not 0, as `[column, value]`. */
export async function answerToOnes(
  client: StockClient,
  name: string,
  { rows }: LargeModel,
): Promise<[number, number][]> {
  const answer = await client.infer({
    model_name: name,
    inputs: [{ name: 'input', datatype: 'FP32', shape: [1, rows] }],
    raw_input_contents: [Buffer.from(new Float32Array(rows).fill(1).buffer)],
  });
  const values = new Float32Array(Uint8Array.from(answer['raw_output_contents'][0] as Buffer).buffer);
  return [...values.entries()].filter(([, value]) => value !== 0);
}
