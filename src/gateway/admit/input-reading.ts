/**
 * One input of a request: from its contents, typed or raw, to the raw form, checked. It is read in pieces (`advance`), because a
 * message of a few MiB may hold millions of elements.
 */

import { isUtf8 } from 'node:buffer';
import { BYTES_LENGTH_SIZE, BytesTensorError, bytesElementEnd } from '../../wire/bytes-tensor.ts';
import type { InferInput } from '../../wire/infer-request.ts';
import { WireError } from '../../wire/limits.ts';
import { DATATYPE_BYTES, elementCount, isDatatype } from '../../wire/tensor.ts';
import { bytesOf, type TensorBytes } from '../../wire/tensor-bytes.ts';
import { TypedContentsError, TypedContentsReading } from '../../wire/typed-contents.ts';
import { InferError } from '../errors.ts';
import { inputField } from './input-field.ts';

/** For what an input is read. */
export interface InputReader {
  readonly model: string;
  /** Elements of a BYTES input are any bytes, and not texts. */
  readonly isBinary: boolean;
}

/** The input in raw form, of exactly the bytes that its shape says, at once. @throws InferError */
export function readInput(input: InferInput, raw: TensorBytes | undefined, reader: InputReader): TensorBytes {
  if (raw !== undefined && isAsItCame(input, raw)) return raw;
  const reading = new InputReading(input, raw, reader);
  reading.advance();
  return reading.value;
}

/** The common case: raw bytes without invalid values, as many as the shape needs. */
function isAsItCame({ datatype, shape }: InferInput, raw: TensorBytes): boolean {
  const size = isDatatype(datatype) && datatype !== 'BOOL' ? DATATYPE_BYTES[datatype] : undefined;
  return size !== undefined && raw.byteLength === (elementCount(shape) ?? -1) * size;
}

/** Reads one input of a request, whose datatype and shape the model takes. */
export class InputReading {
  readonly #input: InferInput;
  readonly #model: string;
  readonly #isBinary: boolean;
  readonly #elements: number;
  #typed: TypedContentsReading | undefined;
  #check: ElementsCheck | BooleansCheck | undefined;
  #value: TensorBytes = NOTHING;

  /** @throws InferError where the contents are missing, or their size is wrong */
  constructor(input: InferInput, raw: TensorBytes | undefined, { model, isBinary }: InputReader) {
    const { name, shape, contents, datatype } = input;
    const elements = elementCount(shape);
    if (elements === undefined || !isDatatype(datatype))
      throw new TypeError(`input '${name}' was not compared with its model`);
    this.#input = input;
    this.#model = model;
    this.#isBinary = isBinary;
    this.#elements = elements;
    if (raw !== undefined) this.#take(raw);
    else if (contents !== undefined) this.#typed = new TypedContentsReading(contents, datatype, elements);
    else if (elements > 0)
      throw invalid(`unable to find data for input tensor '${name}' for model '${model}' in request.`, {
        field: inputField(name),
      });
  }

  /** Valid after the last slice. */
  get value(): TensorBytes {
    return this.#value;
  }

  /** Reads on, about so many elements. @returns whether all were read. @throws InferError */
  advance(elements = Number.POSITIVE_INFINITY): boolean {
    if (this.#typed !== undefined) {
      if (!this.#readTyped(this.#typed, elements)) return false;
      this.#typed = undefined;
    }
    return this.#check === undefined || this.#check.advance(elements);
  }

  #readTyped(typed: TypedContentsReading, elements: number): boolean {
    try {
      if (typed.advance(elements)) {
        this.#take(typed.finish());
        return true;
      }
    } catch (error) {
      throw this.#refusalOf(error);
    }
    // How many more there are is not worth the time to count them.
    if (typed.elements > this.#elements) throw this.#miscounted(`${typed.elements} or more`);
    return false;
  }

  #take(value: TensorBytes): void {
    const { datatype } = this.#input;
    const size = isDatatype(datatype) ? DATATYPE_BYTES[datatype] : undefined;
    if (size === undefined) {
      this.#check = new ElementsCheck(bytesOf(value), this.#elements, this.#subject, this.#isBinary);
    } else if (value.byteLength !== this.#elements * size) {
      throw invalid(
        `input byte size mismatch for ${this.#subject}. Expected ${this.#elements * size}, got ${value.byteLength}`,
        this.#subject,
      );
    } else if (datatype === 'BOOL') this.#check = new BooleansCheck(bytesOf(value), this.#subject);
    this.#value = value;
  }

  get #subject(): Subject {
    return new Subject(this.#input.name, this.#model);
  }

  #miscounted(got: number | string): InferError {
    return invalid(
      `unexpected number of elements for ${this.#subject}. Expected ${this.#elements}, got ${got}`,
      this.#subject,
    );
  }

  #refusalOf(error: unknown): unknown {
    const { name, datatype } = this.#input;
    if (error instanceof WireError) {
      const text = `Unable to parse request: ModelInferRequest: contents of input '${name}': ${error.message}`;
      return new InferError('malformed_message', text);
    }
    if (!(error instanceof TypedContentsError)) return error;
    const { problem } = error;
    switch (problem.kind) {
      case 'wrong_field':
        return invalid(
          `unexpected explicit tensor data for input tensor '${name}' for model '${this.#model}' of type '${problem.datatype}', expected datatype '${datatype}'`,
          this.#subject,
        );
      case 'count':
        return this.#miscounted(problem.got);
      case 'range':
        return invalid(
          `value ${problem.value} of element ${problem.index} of ${this.#subject} is out of range for ${datatype}`,
          this.#subject,
        );
    }
  }
}

const NOTHING = new Uint8Array(0);

/** The input that a refusal is about. */
class Subject {
  readonly field: string;
  readonly #text: string;

  constructor(name: string, model: string) {
    this.field = inputField(name, 'contents');
    this.#text = `input '${name}' for model '${model}'`;
  }

  toString(): string {
    return this.#text;
  }
}

function invalid(text: string, { field }: Pick<Subject, 'field'>): InferError {
  return new InferError('invalid_request', text, { field });
}

/** Bytes that are looked at in the time of one element. */
const BYTES_OF_AN_ELEMENT = 16;

/** ONNX Runtime takes any byte for a truth value, and its kernels rely on 0 and 1. */
class BooleansCheck {
  readonly #value: Uint8Array;
  readonly #subject: Subject;
  #at = 0;

  constructor(value: Uint8Array, subject: Subject) {
    this.#value = value;
    this.#subject = subject;
  }

  advance(elements: number): boolean {
    const value = this.#value;
    const end = Math.min(value.byteLength, this.#at + elements * BYTES_OF_AN_ELEMENT);
    for (let at = this.#at; at < end; at += 1) {
      if ((value[at] as number) > 1)
        throw invalid(
          `value ${value[at]} of element ${at} of ${this.#subject} is no BOOL: expected 0 or 1`,
          this.#subject,
        );
    }
    this.#at = end;
    return end === value.byteLength;
  }
}

/** Bytes of a long text that are looked at in the time of one element. */
const TEXT_BYTES_OF_AN_ELEMENT = 1_024;
/** Up to so many bytes, a loop is faster than a native call. */
const SHORT_TEXT = 32;

/** Whole elements, as many as the shape says; texts that ONNX Runtime can hold, which cuts at a NUL, unless they are binary. */
class ElementsCheck {
  readonly #value: Uint8Array;
  readonly #expected: number;
  readonly #subject: Subject;
  readonly #isBinary: boolean;
  #at = 0;
  #count = 0;

  constructor(value: Uint8Array, elements: number, subject: Subject, isBinary: boolean) {
    this.#value = value;
    this.#expected = elements;
    this.#subject = subject;
    this.#isBinary = isBinary;
  }

  advance(elements: number): boolean {
    const value = this.#value;
    let left = elements;
    while (left > 0 && this.#at < value.byteLength) {
      const end = this.#endOf(this.#at);
      if (!this.#isBinary) this.#checkText(this.#at + BYTES_LENGTH_SIZE, end);
      left -= 1 + (this.#isBinary ? 0 : (end - this.#at) / TEXT_BYTES_OF_AN_ELEMENT);
      this.#at = end;
      this.#count += 1;
    }
    const isDone = this.#at >= value.byteLength;
    if (this.#count > this.#expected) throw this.#tooMany(isDone);
    if (isDone && this.#count < this.#expected)
      throw invalid(
        `expected ${this.#expected} string elements for inference ${this.#subject}, got ${this.#count}`,
        this.#subject,
      );
    return isDone;
  }

  #endOf(at: number): number {
    try {
      return bytesElementEnd(this.#value, at);
    } catch (error) {
      if (error instanceof BytesTensorError) throw invalid(`${this.#subject}: ${error.message}`, this.#subject);
      throw error;
    }
  }

  #checkText(start: number, end: number): void {
    const value = this.#value;
    if (end - start <= SHORT_TEXT) {
      let at = start;
      while (at < end && isAsciiText(value[at] as number)) at += 1;
      if (at === end) return;
    }
    const text = value.subarray(start, end);
    if (text.includes(0))
      throw invalid(
        `element ${this.#count} of ${this.#subject} holds a NUL byte, which a string tensor cannot`,
        this.#subject,
      );
    if (!isUtf8(text))
      throw invalid(
        `element ${this.#count} of ${this.#subject} is not valid UTF-8, which a string tensor must be`,
        this.#subject,
      );
  }

  #tooMany(areAll: boolean): InferError {
    const got = areAll ? this.#count : `${this.#count} or more`;
    return invalid(
      `unexpected number of string elements ${got} for inference ${this.#subject}, expecting ${this.#expected}`,
      this.#subject,
    );
  }
}

function isAsciiText(byte: number): boolean {
  return byte > 0 && byte < 0x80;
}
