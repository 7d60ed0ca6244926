/**
 * The frames of a run channel: how a run and its outcome travel between the gateway and an instance's thread.
 *
 * A frame is a row of doubles, in the byte order of the machine that both ends share: the frame's length in bytes, its kind, and
 *
 *   welcome      nothing
 *   run          where outputs begin, the most bytes that they may have, number of inputs, their places; where not
 *                all inputs lie in the mailbox, number of pieces, the pieces
 *   ok           milliseconds of compute, read and write, number of outputs, their places; where rows have lengths of their
 *                own, number of rows, their lengths
 *   failure      number of its kind, its bytes or the number of its reason, bytes of the message, the message in UTF-8, filled up to whole doubles
 *
 *   a place      number of the tensor in its SessionInfo, offset, length in bytes, number of axes, their sizes
 *   a piece      process, descriptor and inode of its file (0, 0, 0: the mailbox), offset there, offset among the inputs, length
 *
 * A double holds every integer up to 2^53, and reading one is an array access. Names and datatypes were part of the load.
 *
 * FRAME-1: whatever bytes come, reading them gives what they say or throws a FrameError, in memory of at most `MAX_FRAME_BYTES`.
 * FRAME-2: in each direction one frame is under way at a time; bytes behind one are an error.
 */

import { messageOf } from '../error-message.ts';
import {
  FAILURE,
  FAILURES,
  Frame,
  FrameError,
  HEADER_WORDS,
  MAX_FRAME_BYTES,
  OK,
  RUN,
  WELCOME,
  WORD,
} from './frame.ts';
import type { InputPiece, Run, SessionTensor, TensorPlace } from './protocol.ts';
import { PASSED_ON, type ReportedOutcome } from './run-outcome.ts';

export { type Frame, FrameError, MAX_FRAME_BYTES } from './frame.ts';

/** Longer error messages are cut. */
const MAX_MESSAGE_BYTES = 16 * 1024;
/** Enough for most models; it grows where it is not. */
const USUAL_WORDS = 64;

/** Encodes one frame after the other into the same memory: what `end` returns holds until the next frame is begun. */
export class FrameWriter {
  #words = new Float64Array(USUAL_WORDS);
  #length = 0;

  welcome(): Uint8Array {
    this.#begin(WELCOME);
    return this.#end();
  }

  /** @throws FrameError where a name is none of `inputs`, or there are too many. */
  run({ inputs, pieces, outputOffset, maxOutputBytes }: Run, tensors: TensorNumbers): Uint8Array {
    this.#begin(RUN);
    this.#put(outputOffset);
    this.#put(maxOutputBytes);
    this.#places(inputs, tensors);
    if (pieces !== undefined) this.#pieces(pieces);
    return this.#end();
  }

  outcome(outcome: ReportedOutcome, tensors: TensorNumbers): Uint8Array {
    if (outcome.kind !== 'ok') return this.#failure(outcome);
    const { computeMs, readMs, writeMs, outputs, rowLengths } = outcome;
    this.#begin(OK);
    this.#put(computeMs);
    this.#put(readMs);
    this.#put(writeMs);
    this.#places(outputs, tensors);
    if (rowLengths !== undefined) this.#lengths(rowLengths);
    return this.#end();
  }

  #lengths(rowLengths: readonly number[]): void {
    this.#put(rowLengths.length);
    for (const length of rowLengths) this.#put(length);
  }

  #failure(outcome: Exclude<ReportedOutcome, { readonly kind: 'ok' }>): Uint8Array {
    this.#begin(FAILURE);
    this.#put(FAILURES.indexOf(outcome.kind));
    this.#put(detailOf(outcome));
    this.#text(textOf(outcome));
    return this.#end();
  }

  #begin(kind: number): void {
    // The length is put in at the end.
    this.#length = 1;
    this.#put(kind);
  }

  #places(places: readonly TensorPlace[], tensors: TensorNumbers): void {
    this.#put(places.length);
    for (const { name, shape, offset, byteLength } of places) {
      const number = tensors.get(name);
      if (number === undefined) throw new FrameError(`the session has no tensor '${name}'`);
      this.#put(number);
      this.#put(offset);
      this.#put(byteLength);
      this.#put(shape.length);
      for (const size of shape) this.#put(size);
    }
  }

  #pieces(pieces: readonly InputPiece[]): void {
    this.#put(pieces.length);
    for (const { file, from, at, byteLength } of pieces) {
      this.#put(file?.pid ?? 0);
      this.#put(file?.descriptor ?? 0);
      this.#put(file?.inode ?? 0);
      this.#put(from);
      this.#put(at);
      this.#put(byteLength);
    }
  }

  #text(text: string): void {
    const bytes = Buffer.from(text).subarray(0, MAX_MESSAGE_BYTES);
    this.#put(bytes.byteLength);
    const words = Math.ceil(bytes.byteLength / WORD);
    this.#reserve(this.#length + words);
    new Uint8Array(this.#words.buffer).set(bytes, this.#length * WORD);
    this.#length += words;
  }

  #put(value: number): void {
    if (this.#length === this.#words.length) this.#reserve(this.#length + 1);
    this.#words[this.#length++] = value;
  }

  #reserve(length: number): void {
    if (length * WORD > MAX_FRAME_BYTES) throw new FrameError('too many tensors for one frame');
    if (length <= this.#words.length) return;
    const larger = new Float64Array(Math.max(length, 2 * this.#words.length));
    larger.set(this.#words);
    this.#words = larger;
  }

  #end(): Uint8Array {
    const byteLength = this.#length * WORD;
    this.#words[0] = byteLength;
    return new Uint8Array(this.#words.buffer, 0, byteLength);
  }
}

/** Bytes that found no room, or the number of a reason, from 1. */
function detailOf(outcome: Exclude<ReportedOutcome, { readonly kind: 'ok' }>): number {
  if (outcome.kind === 'no_room') return outcome.bytes;
  return outcome.kind === 'threw' && outcome.reason !== undefined ? PASSED_ON.indexOf(outcome.reason) + 1 : 0;
}

function textOf(outcome: Exclude<ReportedOutcome, { readonly kind: 'ok' }>): string {
  if (outcome.kind === 'out_of_memory') return '';
  return outcome.kind === 'failed' ? messageOf(outcome.error) : outcome.message;
}

export type TensorNumbers = ReadonlyMap<string, number>;

/** A tensor's number is its place in the SessionInfo. */
export function tensorNumbers(tensors: readonly SessionTensor[]): TensorNumbers {
  return new Map(tensors.map(({ name }, number) => [name, number]));
}

/** Puts the pieces together in which a stream delivers a frame. */
export class FrameReader {
  #words = new Float64Array(USUAL_WORDS);
  #bytes = new Uint8Array(this.#words.buffer);
  #received = 0;

  /**
   * @returns the frame that `piece` completes; it holds until the next call.
   * @throws FrameError where the bytes are no frame, or go beyond it (FRAME-2).
   */
  push(piece: Uint8Array): Frame | undefined {
    const received = this.#received + piece.byteLength;
    if (received > this.#bytes.byteLength) this.#reserve(received);
    this.#bytes.set(piece, this.#received);
    this.#received = received;
    if (received < WORD) return undefined;
    const length = this.#words[0] ?? 0;
    if (!Number.isInteger(length) || length % WORD !== 0 || length < HEADER_WORDS * WORD || length > MAX_FRAME_BYTES) {
      throw new FrameError(`a frame of ${length} bytes`);
    }
    if (received < length) return undefined;
    if (received > length) throw new FrameError(`${received - length} bytes behind a frame`);
    this.#received = 0;
    return new Frame(this.#words.subarray(0, length / WORD));
  }

  #reserve(byteLength: number): void {
    if (byteLength > MAX_FRAME_BYTES) throw new FrameError(`${byteLength} bytes at once`);
    const larger = new Float64Array(Math.max(Math.ceil(byteLength / WORD), 2 * this.#words.length));
    larger.set(this.#words);
    this.#words = larger;
    this.#bytes = new Uint8Array(larger.buffer);
  }
}
