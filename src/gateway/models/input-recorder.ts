/**
 * Keeps some of the rows that clients send, as data to calibrate and compare models on: `serve --record N`.
 *
 *   <recordDirectory>/<model>/row-00042.npz   arrays `input.<name>`, of one row; no client, no metadata, no answer
 *
 * The rows that are kept are a fair sample of all that came since the start (Vitter, "Random sampling with a reservoir", 1985: the
 * k-th takes the place of one of N with the probability N/k), so the disk is written ever less often.
 *
 * REC-1: clients do not notice: a row is copied in memory and written later; on a slow disk, rows are skipped.
 * REC-2: everything is bounded: N rows a model on disk, `MAX_PENDING_BYTES` in memory, `MAX_ROW_BYTES` a row.
 */

import fs from 'node:fs/promises';
import path from 'node:path';
import { messageOf } from '../../error-message.ts';
import type { Shape } from '../../wire/tensor.ts';
import { bytesOf } from '../../wire/tensor-bytes.ts';
import type { InferTensors } from '../admit/infer-tensors.ts';
import { copyRuns } from '../batch/stripes.ts';
import { diagnostics } from '../ops/diagnostics.ts';
import type { Settings } from '../ops/settings.ts';
import { isNumpyDatatype, type NpyArray, writeNpz } from '../repository/npz-archive.ts';
import { type ModelTensor, type RowAxis, shapeOfRow } from '../repository/signature/row-axis.ts';
import type { Servable } from './servable.ts';

const MAX_ROW_BYTES = 16 * 1024 * 1024;
const MAX_PENDING_BYTES = 64 * 1024 * 1024;

export interface RecorderOptions {
  /** Readable only by this user: it holds client data. */
  readonly directory: string;
  /** Rows per model. */
  readonly rows: number;
  /** Draws the rows; in [0, 1). */
  readonly random?: () => number;
}

interface Pending {
  readonly file: string;
  readonly arrays: ReadonlyMap<string, NpyArray>;
  readonly bytes: number;
}

export class InputRecorder {
  /** `undefined` where the settings keep nothing of requests. */
  static for({ record: rows, recordDirectory: directory }: Settings): InputRecorder | undefined {
    if (rows === 0 || directory === undefined) return undefined;
    const text = `up to ${rows} rows of the requests of each model are kept in ${directory}: they hold what clients send`;
    diagnostics.notice.publish({ level: 'warn', text });
    return new InputRecorder({ directory, rows });
  }

  readonly #directory: string;
  readonly #rows: number;
  readonly #random: () => number;
  /** Rows that came, by model. */
  readonly #seen = new Map<string, number>();
  readonly #warned = new Set<string>();
  /** By file: of two rows for one place the later counts. */
  readonly #pending = new Map<string, Pending>();
  #pendingBytes = 0;
  #writing: Promise<void> | undefined;

  constructor({ directory, rows, random = Math.random }: RecorderOptions) {
    this.#directory = directory;
    this.#rows = rows;
    this.#random = random;
  }

  /** To be called with every request that can be run. Returns at once, and never throws. */
  sample({ ref: { name }, ready: { signature, axis } }: Pick<Servable, 'ref' | 'ready'>, tensors: InferTensors): void {
    const { inputs } = signature;
    const unfit = inputs.find(({ datatype }) => !isNumpyDatatype(datatype));
    if (unfit !== undefined) {
      this.#warnOnce(
        name,
        `requests of model '${name}' are not recorded: its input '${unfit.name}' is ${unfit.datatype}`,
      );
      return;
    }
    const rows = axis === 'rows' ? tensors.rows : 1;
    for (let row = 0; row < rows; row++) {
      const slot = this.#draw(name);
      if (slot >= this.#rows) continue;
      const bytes = tensors.bytes / rows;
      // REC-1, REC-2
      if (bytes > MAX_ROW_BYTES || this.#pendingBytes + bytes > MAX_PENDING_BYTES) continue;
      const file = path.join(this.#directory, name, `row-${String(slot).padStart(5, '0')}.npz`);
      this.#pendingBytes += bytes - (this.#pending.get(file)?.bytes ?? 0);
      const arrays = inputs.map((input, index) => arrayOf(input, index, { tensors, axis, row }));
      this.#pending.set(file, { file, arrays: new Map(arrays), bytes });
    }
    if (this.#pending.size > 0) this.#writing ??= this.#write();
  }

  /** Resolves when the copied rows are written. */
  async close(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
  }

  /** The place for a model's next row; none where it is not below the number of rows. */
  #draw(model: string): number {
    const seen = this.#seen.get(model) ?? 0;
    this.#seen.set(model, seen + 1);
    return seen < this.#rows ? seen : Math.floor(this.#random() * (seen + 1));
  }

  /** Never rejects. */
  async #write(): Promise<void> {
    for (;;) {
      const [next] = this.#pending.values();
      if (next === undefined) break;
      this.#pending.delete(next.file);
      await writeWhole(next.file, next.arrays).catch((error: unknown) => {
        const reason = messageOf(error);
        this.#warnOnce('', `a row was not recorded: ${reason}`);
      });
      this.#pendingBytes -= next.bytes;
    }
    this.#writing = undefined;
  }

  #warnOnce(subject: string, text: string): void {
    if (this.#warned.has(subject)) return;
    this.#warned.add(subject);
    diagnostics.notice.publish({ level: 'warn', text });
  }
}

async function writeWhole(file: string, arrays: ReadonlyMap<string, NpyArray>): Promise<void> {
  await fs.mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  const partial = path.join(path.dirname(file), `.${path.basename(file)}-${process.pid}`);
  await fs.writeFile(partial, await writeNpz(arrays), { mode: 0o600 });
  await fs.rename(partial, file);
}

interface Place {
  readonly tensors: InferTensors;
  readonly axis: 'rows' | 'whole';
  readonly row: number;
}

/** A copy of one row of an input, as `input.<name>` with an axis 0 of one row. */
function arrayOf({ name, datatype, rowAxis = 0 }: ModelTensor, index: number, place: Place): [string, NpyArray] {
  const { tensors, axis, row } = place;
  const shape = tensors.shapes[index] ?? [];
  const data = bytesOf(tensors.inputs[index] ?? new Uint8Array());
  const isWhole = axis === 'whole' || rowAxis === 'shared';
  const own = isWhole ? shape : shapeOfRow(shape, rowAxis);
  const copy = isWhole ? data.slice() : rowOf(data, shape, rowAxis, row);
  return [`input.${name}`, { datatype, shape: [1, ...own], data: copy }];
}

function rowOf(data: Uint8Array, shape: Shape, rowAxis: Exclude<RowAxis, 'shared'>, row: number): Uint8Array {
  const rows = shape[rowAxis] ?? 1;
  const stripes = shape.slice(0, rowAxis).reduce((product, size) => product * size, 1);
  const width = data.byteLength / (stripes * rows);
  const copy = new Uint8Array(stripes * width);
  const from = { bytes: data, offset: row * width, stride: rows * width };
  copyRuns(from, { bytes: copy, offset: 0, stride: width }, width, stripes);
  return copy;
}
