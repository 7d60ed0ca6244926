import { isUtf8 } from 'node:buffer';
import { BYTES_LENGTH_SIZE, writeUint32 } from './bytes-tensor.ts';
import { Byte, showValue } from './json-bytes.ts';
import { type JsonElements, unexpectedElement } from './json-elements.ts';
import { JsonTensorError } from './json-tensor.ts';

/** Bytes that a copy by the engine is worth. */
const NATIVE_COPY_BYTES = 64;

/** The most bytes of BYTES in raw form that strings make whose array takes `jsonBytes`. */
export function mostStringBytes(elements: number, jsonBytes: number): number {
  // UTF-8 is never longer than its JSON. Quotes and comma take three bytes there, the length takes four here.
  return jsonBytes + elements;
}

/** Reads strings into the raw form of BYTES: their UTF-8, with escapes replaced. */
export class JsonStrings implements JsonElements {
  readonly #bytes: Buffer;
  readonly #raw: Uint8Array;
  /** Where the raw form of the string that is being read begins. */
  #start = 0;
  /** Where its next byte goes. */
  #end = 0;
  #isInside = false;

  /** @param rawBytes the most that the raw form takes */
  constructor(bytes: Buffer, rawBytes: number) {
    this.#bytes = bytes;
    this.#raw = new Uint8Array(rawBytes);
  }

  get raw(): Uint8Array {
    return this.#raw.subarray(0, this.#end);
  }

  read(start: number, index: number, stop: number): number {
    const bytes = this.#bytes;
    let at = start;
    if (!this.#isInside) {
      if (bytes[at] !== Byte.QUOTE) throw unexpectedElement(index, showValue(bytes, at), 'a string');
      this.#isInside = true;
      this.#start = this.#end;
      this.#end += BYTES_LENGTH_SIZE;
      at += 1;
    }
    for (;;) {
      at = this.#copyPlain(at, index, stop);
      const byte = bytes[at];
      if (byte === Byte.QUOTE) break;
      if (byte === Byte.BACKSLASH) at = this.#readEscape(at, index);
      else if (at >= stop) return ~at;
      else throw new JsonTensorError(`element ${index} has a control character, at byte ${at}: write it as \\u00XX`);
    }
    this.#isInside = false;
    writeUint32(this.#raw, this.#start, this.#end - this.#start - BYTES_LENGTH_SIZE);
    return at + 1;
  }

  /** Copies up to a quote, a backslash, a control character or `stop`. @returns where that is */
  #copyPlain(start: number, index: number, stop: number): number {
    const bytes = this.#bytes;
    let at = start;
    let all = 0;
    for (; at < stop; at += 1) {
      const byte = bytes[at] as number;
      if (byte === Byte.QUOTE || byte === Byte.BACKSLASH || byte < Byte.SPACE) break;
      all |= byte;
    }
    // A character is not cut: its last bytes are 10xxxxxx.
    if (at === stop) for (let cut = 0; cut < 3 && ((bytes[at] as number) & 0xc0) === 0x80; cut += 1) at += 1;
    if (at > start) {
      const run = bytes.subarray(start, at);
      if (all > 0x7f && !isUtf8(run)) throw new JsonTensorError(`element ${index} is not UTF-8, at byte ${start}`);
      this.#append(run);
    }
    return at;
  }

  #append(run: Uint8Array): void {
    if (run.length > NATIVE_COPY_BYTES) this.#raw.set(run, this.#end);
    else for (let i = 0; i < run.length; i += 1) this.#raw[this.#end + i] = run[i] as number;
    this.#end += run.length;
  }

  /** @param at of the backslash @returns where the escape ends */
  #readEscape(at: number, index: number): number {
    const letter = String.fromCharCode(this.#bytes[at + 1] as number);
    const character = ESCAPES.get(letter);
    if (character !== undefined) {
      this.#raw[this.#end] = character;
      this.#end += 1;
      return at + 2;
    }
    const unit = letter === 'u' ? this.#unitAt(at) : -1;
    if (unit < 0) {
      throw new JsonTensorError(`element ${index} has an invalid escape, at byte ${at}`);
    }
    const low = isHighSurrogate(unit) && this.#bytes[at + 6] === Byte.BACKSLASH ? this.#unitAt(at + 6) : -1;
    const isPair = low >= 0xdc00 && low <= 0xdfff;
    const code = isPair ? 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00) : unit;
    if (code >= 0xd800 && code <= 0xdfff) {
      const unpaired = this.#bytes.toString('latin1', at, at + 6);
      throw new JsonTensorError(
        `element ${index} is not UTF-8: ${unpaired} is half of a surrogate pair, at byte ${at}`,
      );
    }
    this.#append(Buffer.from(String.fromCodePoint(code)));
    return at + (isPair ? 12 : 6);
  }

  /** The code unit of the escape `\uXXXX` at `at`; -1 where no such escape is there. */
  #unitAt(at: number): number {
    const digits = this.#bytes.toString('latin1', at + 2, at + 6);
    return this.#bytes[at + 1] === LETTER_U && /^[0-9a-fA-F]{4}$/.test(digits) ? Number.parseInt(digits, 16) : -1;
  }
}

const LETTER_U = 0x75;
const ESCAPES: ReadonlyMap<string, number> = new Map(
  Object.entries({ '"': '"', '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }).map(
    ([letter, character]) => [letter, character.charCodeAt(0)],
  ),
);

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}
