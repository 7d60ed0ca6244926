import { Byte, flatEnd, hasWord, JsonError, JsonSpan, MAX_JSON_DEPTH, showValue } from './json-bytes.ts';
import { JsonNumber } from './json-number.ts';

/** An object of a JSON text. It has no prototype: a key may be `constructor` or `__proto__`. */
export type JsonRecord = Record<string, unknown>;

/** Limits of a text, apart from skipped values. */
export interface JsonLimits {
  readonly maxBytes: number;
  readonly maxValues: number;
  /** Values in one value that is read at once, which holds the event loop; absent: `maxValues`. */
  readonly maxValuesAtOnce?: number;
}

/** The text of a request without its tensors: a model of 16,384 inputs needs less. */
export const JSON_LIMITS: JsonLimits = { maxBytes: 8 * 2 ** 20, maxValues: 250_000, maxValuesAtOnce: 20_000 };

const WORDS = [
  [Buffer.from('null'), null],
  [Buffer.from('true'), true],
  [Buffer.from('false'), false],
] as const;
const UTF_8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const BYTE_ORDER_MARK = Buffer.from('\uFEFF');

/**
 * Reads a JSON text from its bytes, value by value. Integers that no number holds exactly become `bigint`; NaN and Infinity
 * are numbers, as Python's json.dumps writes them. A large value that is not needed as such is skipped: it becomes a span.
 */
export class JsonReader {
  readonly #bytes: Buffer;
  readonly #limits: JsonLimits;
  readonly #number = new JsonNumber();
  /** End of the readable bytes. It moves when bytes are skipped. */
  #end: number;
  #at = 0;
  #values = 0;
  /** Those that may still be read at once. */
  #maxValues = 0;
  #depth = 0;
  #skipped: { readonly start: number; depth: number; isInString: boolean } | undefined;

  /** @param bytes are read to the end; a byte order mark may come first */
  constructor(bytes: Buffer, limits: JsonLimits = JSON_LIMITS) {
    this.#bytes = bytes;
    this.#limits = limits;
    this.#maxValues = limits.maxValues;
    this.#end = Math.min(bytes.length, limits.maxBytes);
    if (hasWord(bytes, 0, BYTE_ORDER_MARK)) this.#at = BYTE_ORDER_MARK.length;
  }

  get isAtObject(): boolean {
    return this.#peek() === Byte.OPEN_BRACE;
  }

  /** Where the next value begins, in bytes. */
  get offset(): number {
    this.#peek();
    return this.#at;
  }

  get isAtArray(): boolean {
    return this.#peek() === Byte.OPEN_BRACKET;
  }

  get isAtString(): boolean {
    return this.#peek() === Byte.QUOTE;
  }

  /** The next value, whatever it is. @throws JsonError */
  value(): unknown {
    const { maxValues, maxValuesAtOnce = maxValues } = this.#limits;
    this.#maxValues = Math.min(maxValues, this.#values + maxValuesAtOnce);
    const value = this.#value();
    this.#maxValues = maxValues;
    return value;
  }

  #value(): unknown {
    const byte = this.#peek();
    switch (byte) {
      case Byte.OPEN_BRACE: {
        const record = emptyRecord();
        for (const key of this.keys()) record[key] = this.#value();
        return record;
      }
      case Byte.OPEN_BRACKET: {
        const items: unknown[] = [];
        for (const _ of this.items()) items.push(this.#value());
        return items;
      }
      case Byte.QUOTE:
        this.#count();
        return this.#string();
      default:
        this.#count();
        return this.#primitive();
    }
  }

  /** The keys of the next value, an object. Read the value of each before the next key. @throws JsonError */
  *keys(): Generator<string, void> {
    this.#enter();
    if (this.#peek() === Byte.CLOSE_BRACE) {
      this.#leave();
      return;
    }
    for (;;) {
      if (this.#peek() !== Byte.QUOTE) throw this.#malformed('a key in double quotes');
      const key = this.#string();
      if (this.#peek() !== Byte.COLON) throw this.#malformed("':'");
      this.#at += 1;
      yield key;
      const byte = this.#peek();
      if (byte === Byte.CLOSE_BRACE) break;
      if (byte !== Byte.COMMA) throw this.#malformed("',' or '}'");
      this.#at += 1;
    }
    this.#leave();
  }

  /** The indices of the next value, an array. Read each item before the next index. @throws JsonError */
  *items(): Generator<number, void> {
    this.#enter();
    if (this.#peek() === Byte.CLOSE_BRACKET) {
      this.#leave();
      return;
    }
    for (let index = 0; ; index += 1) {
      yield index;
      const byte = this.#peek();
      if (byte === Byte.CLOSE_BRACKET) break;
      if (byte !== Byte.COMMA) throw this.#malformed("',' or ']'");
      this.#at += 1;
    }
    this.#leave();
  }

  /**
   * Passes over the next value, an array, for about `bytes` of it; what it holds counts for no limit.
   * @returns `undefined` while there is more of it: call it again
   * @throws JsonError
   */
  skip(bytes: number): JsonSpan | undefined {
    if (this.#skipped === undefined) this.#peek();
    this.#skipped ??= { start: this.#at, depth: 0, isInString: false };
    const source = this.#bytes;
    const stop = Math.min(source.length, this.#at + bytes);
    let { depth, isInString } = this.#skipped;
    let at = this.#at;
    if (depth === 0) {
      depth = 1;
      at += 1;
    }
    if (depth === 1 && !isInString) at = flatEnd(source, at, stop) ?? at;
    while (at < stop) {
      const byte = source[at] as number;
      at += 1;
      if (isInString) {
        if (byte === Byte.QUOTE) isInString = false;
        else if (byte === Byte.BACKSLASH) at += 1;
      } else if (byte < Byte.OPEN_BRACKET) {
        // Nearly all of a tensor: digits, signs, points, commas and blanks.
        if (byte === Byte.QUOTE) isInString = true;
      } else if (byte === Byte.OPEN_BRACKET || byte === Byte.OPEN_BRACE) depth += 1;
      else if (byte === Byte.CLOSE_BRACKET || byte === Byte.CLOSE_BRACE) {
        depth -= 1;
        if (depth === 0) break;
      }
    }
    this.#at = at;
    if (depth > 0) {
      if (at >= source.length) throw this.#malformed("']'");
      this.#skipped.depth = depth;
      this.#skipped.isInString = isInString;
      return undefined;
    }
    const span = new JsonSpan(this.#skipped.start, at);
    this.#skipped = undefined;
    this.#end = Math.min(source.length, this.#end + span.byteLength);
    return span;
  }

  /**
   * Passes over the next value, a string without escaped quotes, such as Base64. Its bytes count for no limit.
   * @returns where it is, quotes included
   * @throws JsonError
   */
  skipText(): JsonSpan {
    this.#count();
    const start = this.#at;
    const close = this.#bytes.indexOf(Byte.QUOTE, start + 1);
    if (close < 0) throw this.#malformed("'\"'", this.#bytes.length);
    if (this.#bytes[close - 1] === Byte.BACKSLASH) throw this.#malformed('no quote within a long text', close - 1);
    const span = new JsonSpan(start, close + 1);
    this.#at = span.end;
    this.#end = Math.min(this.#bytes.length, this.#end + span.byteLength);
    return span;
  }

  /** @throws JsonError where something follows the value that was read */
  end(): void {
    if (this.#peek() !== undefined) throw this.#malformed('the end');
  }

  #enter(): void {
    this.#count();
    this.#depth += 1;
    if (this.#depth > MAX_JSON_DEPTH) throw this.#tooMuch(`more than ${MAX_JSON_DEPTH} nested values`);
    this.#at += 1;
  }

  #leave(): void {
    this.#depth -= 1;
    this.#at += 1;
  }

  #count(): void {
    this.#values += 1;
    if (this.#values <= this.#maxValues) return;
    const { maxValues, maxValuesAtOnce } = this.#limits;
    const what = this.#values > maxValues ? `${maxValues} values` : `${maxValuesAtOnce} values in one`;
    throw this.#tooMuch(`more than ${what}`);
  }

  /** The next byte that is no white space; `undefined` at the end. */
  #peek(): number | undefined {
    const bytes = this.#bytes;
    const end = this.#end;
    let at = this.#at;
    while (at < end) {
      const byte = bytes[at] as number;
      if (byte !== Byte.SPACE && byte !== Byte.LINE_FEED && byte !== Byte.CARRIAGE_RETURN && byte !== Byte.TAB) break;
      at += 1;
    }
    this.#at = at;
    if (at < end) return bytes[at];
    if (end < bytes.length) throw this.#tooMuch(`more than ${this.#limits.maxBytes} bytes`);
    return undefined;
  }

  #string(): string {
    const bytes = this.#bytes;
    const start = this.#at;
    let at = start + 1;
    let all = 0;
    let hasEscapes = false;
    for (; at < this.#end; at += 1) {
      const byte = bytes[at] as number;
      if (byte === Byte.QUOTE) break;
      if (byte < Byte.SPACE) throw this.#malformed('no control character in a string', at);
      all |= byte;
      if (byte !== Byte.BACKSLASH) continue;
      hasEscapes = true;
      at += 1;
    }
    this.#at = at + 1;
    if (at >= this.#end) {
      this.#at = this.#end;
      this.#peek();
      throw this.#malformed("'\"'");
    }
    if (!hasEscapes && all <= 0x7f) return bytes.toString('latin1', start + 1, at);
    try {
      const text = UTF_8.decode(bytes.subarray(start, at + 1));
      return hasEscapes ? (JSON.parse(text) as string) : text.slice(1, -1);
    } catch {
      throw this.#malformed('a string of UTF-8', start);
    }
  }

  #primitive(): unknown {
    const start = this.#at;
    for (const [word, value] of WORDS) {
      if (!hasWord(this.#bytes, start, word)) continue;
      this.#at += word.length;
      return value;
    }
    const end = this.#number.read(this.#bytes, start);
    if (end < 0 || end > this.#end) throw this.#malformed('a value');
    this.#at = end;
    const value = this.#number.toDouble();
    const isExact = Number.isSafeInteger(value) || !Number.isInteger(value);
    return isExact || !/^-?\d+$/.test(this.#number.text) ? value : BigInt(this.#number.text);
  }

  #malformed(wanted: string, at = this.#at): JsonError {
    return new JsonError('malformed', `${showValue(this.#bytes, at)} at byte ${at}, expected ${wanted}`, at);
  }

  #tooMuch(what: string): JsonError {
    return new JsonError('limit', `${what}, at byte ${this.#at}`, this.#at);
  }
}

/** An object without keys. */
export function emptyRecord(): JsonRecord {
  return Object.create(null) as JsonRecord;
}
