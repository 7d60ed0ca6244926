/** Joins the answers of a request's parts into its outputs: one copy, part by part, as soon as a part is answered. */

import { describeOutputs } from '../../../wire/tensor.ts';
import type { OutputAxes } from '../batch.ts';
import type { WantedTensors } from '../batcher.ts';
import type { OutputTensor } from '../queued-request.ts';
import { outputsTooLarge } from '../refusals.ts';
import { type JoinedOutput, JoinedRows, JoinedTexts, type Piece, SharedOutput } from './joined-output.ts';

interface JoinOptions {
  /** Rows of the whole request. */
  readonly rows: number;
  readonly axes: OutputAxes;
  /** `undefined`: all outputs. */
  readonly wanted: WantedTensors | undefined;
  /** Bytes that the outputs of the request may have. */
  readonly maxOutputBytes: number;
}

export class RowJoin {
  readonly #options: JoinOptions;
  /** In the order of the model's outputs; `undefined` before the first part. */
  #outputs: readonly JoinedOutput[] | undefined;

  constructor(options: JoinOptions) {
    this.#options = options;
  }

  /**
   * Takes the outputs of the part whose rows begin at `from`.
   * @throws InferError where they are too large, or cannot be joined; Error where they do not have the rows of the part
   */
  add(from: number, rows: number, outputs: readonly OutputTensor[]): void {
    this.#outputs ??= this.#begin(from, rows, outputs);
    for (const joined of this.#outputs) {
      const output = outputs.find(({ name }) => name === joined.name);
      if (output === undefined) throw new Error(`the model gave no output '${joined.name}' for a part of a request`);
      joined.add({ output, from, rows });
    }
    this.#checkSize(this.#outputs);
  }

  /** Once all parts are there. */
  finish(): OutputTensor[] {
    return (this.#outputs ?? []).map((joined) => joined.finish());
  }

  #begin(from: number, rows: number, outputs: readonly OutputTensor[]): readonly JoinedOutput[] {
    const { wanted } = this.#options;
    const needed = outputs.filter(({ name }) => wanted?.some(({ spec }) => spec.name === name) ?? true);
    const begun = needed.map((output) => this.#joined({ output, from, rows }));
    this.#checkSize(begun);
    return begun;
  }

  #joined(piece: Piece): JoinedOutput {
    const { axes, rows } = this.#options;
    const axis = axes.get(piece.output.name) ?? 0;
    if (axis === 'shared') return new SharedOutput(piece.output);
    return piece.output.datatype === 'BYTES' ? new JoinedTexts(piece, rows) : new JoinedRows(piece, axis, rows);
  }

  #checkSize(outputs: readonly JoinedOutput[]): void {
    const { maxOutputBytes } = this.#options;
    if (outputs.reduce((sum, { byteLength }) => sum + byteLength, 0) <= maxOutputBytes) return;
    throw outputsTooLarge(describeOutputs(outputs), maxOutputBytes);
  }
}
