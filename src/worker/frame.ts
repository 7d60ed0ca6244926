/** One frame as it is read: `run-frame.ts` describes its form. */

import { DATATYPE_BYTES, elementCount } from '../wire/tensor.ts';
import type { InputPiece, Run, SessionTensor, TensorPlace } from './protocol.ts';
import { PASSED_ON, type ReportedOutcome } from './run-outcome.ts';

/** Enough for the places of as many tensors as a model may have, of as many axes. */
export const MAX_FRAME_BYTES = 16 * 1024 * 1024;
export const WORD = Float64Array.BYTES_PER_ELEMENT;
/** Length and kind. */
export const HEADER_WORDS = 2;
export const WELCOME = 1;
export const RUN = 2;
export const OK = 3;
export const FAILURE = 4;

/** By their numbers. */
export const FAILURES = [
  'refused',
  'outputs_too_large',
  'out_of_memory',
  'no_room',
  'failed',
  'threw',
] as const satisfies readonly ReportedOutcome['kind'][];

/** Bytes that are no frame, or one that does not fit the session. */
export class FrameError extends Error {}

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
    const places = this.#places(inputs);
    if (this.#at === this.#words.length) return { outputOffset, maxOutputBytes, inputs: places };
    const pieces = this.#pieces(places);
    this.#end();
    return { outputOffset, maxOutputBytes, inputs: places, pieces };
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
    const places = this.#places(outputs);
    if (this.#at === this.#words.length) return { kind: 'ok', computeMs, readMs, writeMs, outputs: places };
    return { kind: 'ok', computeMs, readMs, writeMs, outputs: places, rowLengths: this.#rowLengths(places) };
  }

  #rowLengths(outputs: readonly TensorPlace[]): number[] {
    const lengths: number[] = [];
    let longest = 0;
    for (let left = this.#count('the number of rows'); left > 0; left--) {
      const length = this.#count('the length of a row');
      lengths.push(length);
      longest = Math.max(longest, length);
    }
    const other = outputs.find(({ shape: [rows, length] }) => rows !== lengths.length || length !== longest);
    if (other === undefined) return lengths;
    throw new FrameError(`'${other.name}': [${other.shape}] for ${lengths.length} rows of up to ${longest}`);
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
      case 'threw':
        return { kind, message, reason: PASSED_ON[bytes - 1] };
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

  /** Pieces fill only bytes of the inputs. */
  #pieces(inputs: readonly TensorPlace[]): InputPiece[] {
    let end = 0;
    for (const { offset, byteLength } of inputs) end = Math.max(end, offset + byteLength);
    const pieces: InputPiece[] = [];
    for (let left = this.#count('the number of pieces'); left > 0; left--) {
      const pid = this.#count('a process');
      const descriptor = this.#count('a descriptor');
      const inode = this.#count('an inode');
      const from = this.#count('an offset in a file');
      const at = this.#count('an offset of a piece');
      const byteLength = this.#count('the length of a piece');
      if (at + byteLength > end) throw new FrameError('a piece beyond the inputs');
      pieces.push({ file: pid === 0 ? undefined : { pid, descriptor, inode }, from, at, byteLength });
    }
    return pieces;
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
