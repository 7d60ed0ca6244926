/**
 * The frames of a run channel: how a run and its outcome travel between the gateway and an instance's thread.
 *
 * A frame is a row of doubles, in the byte order of the machine that both ends share: the frame's length in bytes, its kind, and
 *
 *   welcome      nothing
 *   run          where outputs begin, the most bytes that they may have, number of inputs, their places
 *   ok           milliseconds of compute, read and write, number of outputs, their places
 *   failure      number of its kind, its bytes, bytes of the message, the message in UTF-8, filled up to whole doubles
 *
 *   a place      number of the tensor in its SessionInfo, offset, length in bytes, number of axes, their sizes
 *
 * A double holds every integer up to 2^53, and reading one is an array access. Names and datatypes were part of the load.
 *
 * FRAME-1: whatever bytes come, reading them gives what they say or throws a FrameError, in memory of at most `MAX_FRAME_BYTES`.
 * FRAME-2: in each direction one frame is under way at a time; bytes behind one are an error.
 */

import { messageOf } from '../error-message.ts';
import { DATATYPE_BYTES, elementCount } from '../wire/tensor.ts';
import type { Run, SessionTensor, TensorPlace } from './protocol.ts';
import type { ReportedOutcome } from './run-outcome.ts';

/** Enough for the places of as many tensors as a model may have, of as many axes. */
export const MAX_FRAME_BYTES = 16 * 1024 * 1024;
/** Longer error messages are cut. */
const MAX_MESSAGE_BYTES = 16 * 1024;
const WORD = Float64Array.BYTES_PER_ELEMENT;
/** Length and kind. */
const HEADER_WORDS = 2;
/** Enough for most models; it grows where it is not. */
const USUAL_WORDS = 64;

const WELCOME = 1;
const RUN = 2;
const OK = 3;
const FAILURE = 4;

/** By their numbers. */
const FAILURES = [
  'refused',
  'outputs_too_large',
  'out_of_memory',
  'no_room',
  'failed',
] as const satisfies readonly ReportedOutcome['kind'][];

/** Bytes that are no frame, or one that does not fit the session. */
export class FrameError extends Error {}

/** Encodes one frame after the other into the same memory: what `end` returns holds until the next frame is begun. */
export class FrameWriter {
  #words = new Float64Array(USUAL_WORDS);
  #length = 0;

  welcome(): Uint8Array {
    this.#begin(WELCOME);
    return this.#end();
  }

  /** @throws FrameError where a name is none of `inputs`, or there are too many. */
  run({ inputs, outputOffset, maxOutputBytes }: Run, tensors: TensorNumbers): Uint8Array {
    this.#begin(RUN);
    this.#put(outputOffset);
    this.#put(maxOutputBytes);
    this.#places(inputs, tensors);
    return this.#end();
  }

  outcome(outcome: ReportedOutcome, tensors: TensorNumbers): Uint8Array {
    if (outcome.kind !== 'ok') return this.#failure(outcome);
    const { computeMs, readMs, writeMs, outputs } = outcome;
    this.#begin(OK);
    this.#put(computeMs);
    this.#put(readMs);
    this.#put(writeMs);
    this.#places(outputs, tensors);
    return this.#end();
  }

  #failure(outcome: Exclude<ReportedOutcome, { readonly kind: 'ok' }>): Uint8Array {
    this.#begin(FAILURE);
    this.#put(FAILURES.indexOf(outcome.kind));
    this.#put(outcome.kind === 'no_room' ? outcome.bytes : 0);
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

/** One frame, to be read once, from its beginning to its end. */
export class Frame {
  readonly #words: Float64Array;
  #at = HEADER_WORDS;

  constructor(words: Float64Array) {
    this.#words = words;
  }

  /** @throws FrameError where it is something else. */
  welcome(): void {
    if (this.#kind !== WELCOME) throw new FrameError(`kind ${this.#kind}, expected a welcome`);
    this.#end();
  }

  /** @throws FrameError where it is no run of a session with these inputs. */
  run(inputs: readonly SessionTensor[]): Run {
    if (this.#kind !== RUN) throw new FrameError(`kind ${this.#kind}, expected a run`);
    const outputOffset = this.#count('the offset of the outputs');
    const maxOutputBytes = this.#count('the most bytes of outputs');
    const run = { outputOffset, maxOutputBytes, inputs: this.#places(inputs) };
    this.#end();
    return run;
  }

  /** @throws FrameError where it is no outcome of a run in a session with these outputs. */
  outcome(outputs: readonly SessionTensor[]): ReportedOutcome {
    const outcome = this.#kind === FAILURE ? this.#failure() : this.#answer(outputs);
    this.#end();
    return outcome;
  }

  get #kind(): number {
    return this.#words[1] ?? 0;
  }

  #answer(outputs: readonly SessionTensor[]): ReportedOutcome {
    if (this.#kind !== OK) throw new FrameError(`kind ${this.#kind}, expected an outcome`);
    const computeMs = this.#milliseconds();
    const readMs = this.#milliseconds();
    const writeMs = this.#milliseconds();
    return { kind: 'ok', computeMs, readMs, writeMs, outputs: this.#places(outputs) };
  }

  #failure(): ReportedOutcome {
    const kind = FAILURES[this.#count('the number of a failure')];
    if (kind === undefined) throw new FrameError('an unknown failure');
    const bytes = this.#count('the bytes of a failure');
    const message = this.#text();
    switch (kind) {
      case 'no_room':
        return { kind, bytes, message, isLasting: false };
      case 'out_of_memory':
        return { kind, by: 'batch' };
      case 'failed':
        return { kind, error: new Error(message) };
      default:
        return { kind, message };
    }
  }

  #text(): string {
    const byteLength = this.#count('the length of a message');
    const words = Math.ceil(byteLength / WORD);
    if (words > this.#words.length - this.#at) throw new FrameError('a message beyond its frame');
    const { buffer, byteOffset } = this.#words;
    const text = Buffer.from(buffer, byteOffset + this.#at * WORD, byteLength).toString();
    this.#at += words;
    return text;
  }

  #places(tensors: readonly SessionTensor[]): TensorPlace[] {
    const places: TensorPlace[] = [];
    // Not allocated ahead: the number is what the other side says.
    for (let left = this.#count('the number of places'); left > 0; left--) {
      const tensor = tensors[this.#count('the number of a tensor')];
      if (tensor === undefined) throw new FrameError('a tensor that the session does not have');
      const offset = this.#count('an offset');
      const byteLength = this.#count('a length');
      const shape: number[] = [];
      for (let axes = this.#count('the number of axes'); axes > 0; axes--) shape.push(this.#count('a size'));
      const { name, datatype } = tensor;
      const elementBytes = DATATYPE_BYTES[datatype];
      if (elementBytes !== undefined && byteLength !== (elementCount(shape) ?? 0) * elementBytes) {
        throw new FrameError(`'${name}': ${byteLength} bytes for ${datatype} [${shape}]`);
      }
      places.push({ name, datatype, shape, offset, byteLength });
    }
    return places;
  }

  #count(what: string): number {
    const value = this.#next();
    if (!Number.isSafeInteger(value) || value < 0) throw new FrameError(`${what} is ${value}`);
    return value;
  }

  #milliseconds(): number {
    const value = this.#next();
    if (!(value >= 0 && value < Number.POSITIVE_INFINITY)) throw new FrameError(`a time of ${value} ms`);
    return value;
  }

  #next(): number {
    const value = this.#words[this.#at++];
    if (value === undefined) throw new FrameError('it ends too early');
    return value;
  }

  #end(): void {
    if (this.#at !== this.#words.length) throw new FrameError('it goes on behind its end');
  }
}
