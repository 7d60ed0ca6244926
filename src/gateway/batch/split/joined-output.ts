/** One output of a request that was split, as it grows part by part. */

import type { Shape, TensorSize } from '../../../wire/tensor.ts';
import { InferError } from '../../errors.ts';
import { withRows } from '../../repository/signature/row-axis.ts';
import { checkRowAxis } from '../batch.ts';
import { sizeBefore } from '../padding.ts';
import type { OutputTensor } from '../queued-request.ts';
import { copyRuns } from '../stripes.ts';

/** An answer of a part, and its place among the rows of the request. */
export interface Piece {
  readonly output: OutputTensor;
  /** The first of its rows. */
  readonly from: number;
  readonly rows: number;
}

export interface JoinedOutput extends TensorSize {
  /** @throws Error where the piece has other rows; InferError where it is no piece of the same tensor */
  add(piece: Piece): void;
  /** Once all pieces are there. */
  finish(): OutputTensor;
}

/** An output that has no rows: every part gives the same. */
export class SharedOutput implements JoinedOutput {
  readonly #output: OutputTensor;

  constructor(output: OutputTensor) {
    this.#output = output;
  }

  get name(): string {
    return this.#output.name;
  }

  get shape(): Shape {
    return this.#output.shape;
  }

  get byteLength(): number {
    return this.#output.data.byteLength;
  }

  add(): void {}

  finish(): OutputTensor {
    return this.#output;
  }
}

/** An output whose elements have a fixed size: each piece is copied to its place as it comes. */
export class JoinedRows implements JoinedOutput {
  readonly name: string;
  readonly shape: Shape;
  readonly byteLength: number;
  readonly #first: OutputTensor;
  readonly #axis: number;
  readonly #stripes: number;
  /** Bytes of one row in each stripe. */
  readonly #width: number;
  #data: Uint8Array | undefined;

  /** @param rows of the whole request */
  constructor({ output, rows: own }: Piece, axis: number, rows: number) {
    this.name = output.name;
    this.shape = withRows(output.shape, rows, axis);
    this.#first = output;
    this.#axis = axis;
    this.#stripes = sizeBefore(output.shape, axis);
    this.#width = this.#stripes === 0 ? 0 : output.data.byteLength / this.#stripes / own;
    this.byteLength = this.#stripes * this.#width * rows;
  }

  add({ output, from, rows }: Piece): void {
    checkPiece(output, this.#first, this.#axis, rows);
    // Not before the size has been checked.
    this.#data ??= Buffer.allocUnsafe(this.byteLength);
    const width = rows * this.#width;
    const stride = this.#stripes === 0 ? 0 : this.byteLength / this.#stripes;
    const to = { bytes: this.#data, offset: from * this.#width, stride };
    copyRuns({ bytes: output.data, offset: 0, stride: width }, to, width, this.#stripes);
  }

  finish(): OutputTensor {
    return { name: this.name, datatype: this.#first.datatype, shape: this.shape, data: this.#data ?? NOTHING };
  }
}

/** An output of texts, whose rows lie on axis 0 and are of any length. */
export class JoinedTexts implements JoinedOutput {
  readonly name: string;
  readonly shape: Shape;
  byteLength = 0;
  readonly #first: OutputTensor;
  readonly #pieces: Piece[] = [];

  /** @param rows of the whole request */
  constructor({ output }: Piece, rows: number) {
    this.name = output.name;
    this.shape = withRows(output.shape, rows);
    this.#first = output;
  }

  add(piece: Piece): void {
    checkPiece(piece.output, this.#first, 0, piece.rows);
    this.#pieces.push(piece);
    this.byteLength += piece.output.data.byteLength;
  }

  finish(): OutputTensor {
    const inOrder = this.#pieces.toSorted((a, b) => a.from - b.from).map(({ output }) => output.data);
    return { name: this.name, datatype: 'BYTES', shape: this.shape, data: Buffer.concat(inOrder) };
  }
}

const NOTHING = new Uint8Array(0);

function checkPiece(output: OutputTensor, first: OutputTensor, axis: number, rows: number): void {
  checkRowAxis(output, axis, rows);
  if (String(withRows(output.shape, 0, axis)) === String(withRows(first.shape, 0, axis))) return;
  const text = `output '${output.name}' depends on the values of a batch: it has the shapes [${first.shape}] and [${output.shape}] in parts of this request, which cannot be joined: send at most max_batch_size rows (tensorgate.split)`;
  throw new InferError('invalid_request', text);
}
