import { Byte, type JsonSpan, MAX_JSON_DEPTH, showValue } from './json-bytes.ts';
import { JsonBooleans, type JsonElements, JsonNumbers } from './json-elements.ts';
import { JsonStrings, mostStringBytes } from './json-strings.ts';
import { JsonTensorError } from './json-tensor.ts';
import { DATATYPE_BYTES, type Datatype, elementCount, type Shape } from './tensor.ts';

/** Legal next tokens in the array. */
const EXPECTS = { VALUE: 0, VALUE_OR_END: 1, COMMA_OR_END: 2, REST_OF_VALUE: 3 } as const;
type Expects = (typeof EXPECTS)[keyof typeof EXPECTS];

/**
 * Reads the elements of a tensor from a JSON array, flat or nested, into their raw form: no value is made of an element on
 * the way. It works in steps, so that a large array does not hold the event loop.
 */
export class JsonTensorReader {
  readonly #bytes: Buffer;
  readonly #end: number;
  readonly #shape: Shape;
  readonly #elements: number;
  readonly #datatype: Datatype;
  readonly #jsonBytes: number;
  /** Maximum number of elements. */
  readonly #room: number;
  /** Made with the first step: only then are the elements given room. */
  #reader: JsonElements | undefined;
  #at: number;
  #index = 0;
  #depth = 0;
  #expects: Expects = EXPECTS.VALUE;

  /**
   * @param span of the array, brackets included
   * @throws JsonTensorError where so few bytes cannot hold all elements of the shape: nothing is allocated for them
   */
  constructor(bytes: Buffer, span: JsonSpan, datatype: Datatype, shape: Shape) {
    const elements = elementCount(shape);
    if (elements === undefined) throw new JsonTensorError(`[${shape}] is not a shape`);
    this.#bytes = bytes;
    this.#at = span.start;
    this.#end = span.end;
    this.#shape = shape;
    this.#elements = elements;
    this.#datatype = datatype;
    this.#jsonBytes = span.byteLength;
    if (this.#jsonBytes > COUNTED_BYTES && elements * leastBytes(datatype) >= this.#jsonBytes)
      throw this.#mismatch('fewer');
    this.#room = Math.min(elements, this.#jsonBytes);
  }

  /** Bytes that the raw form takes; of strings, the most that it can take. */
  get rawBytes(): number {
    const size = DATATYPE_BYTES[this.#datatype];
    return size === undefined ? mostStringBytes(this.#room, this.#jsonBytes) : this.#room * size;
  }

  /** Valid when all elements are read. */
  get raw(): Uint8Array {
    return this.#reader?.raw ?? new Uint8Array(0);
  }

  /** Reads on for about `bytes` of JSON. @returns whether all is read @throws JsonTensorError */
  advance(bytes: number): boolean {
    const source = this.#bytes;
    const reader = this.#readerOnce();
    const stop = Math.min(this.#end, this.#at + bytes);
    let at = this.#at;
    let expects = this.#expects;
    while (at < stop) {
      const byte = source[at] as number;
      if (expects === EXPECTS.REST_OF_VALUE) {
        at = reader.read(at, this.#index, stop);
        if (at < 0) at = ~at;
        else {
          this.#index += 1;
          expects = EXPECTS.COMMA_OR_END;
          // In a flat array without spaces the next element follows at once.
          if (
            at + 1 < stop &&
            this.#index < this.#room &&
            source[at] === Byte.COMMA &&
            isInValue(source[at + 1] as number)
          ) {
            at += 1;
            expects = EXPECTS.REST_OF_VALUE;
          }
        }
      } else if (byte === Byte.SPACE || byte === Byte.LINE_FEED || byte === Byte.CARRIAGE_RETURN || byte === Byte.TAB) {
        at += 1;
      } else if (expects === EXPECTS.COMMA_OR_END) {
        if (byte === Byte.COMMA) expects = EXPECTS.VALUE;
        else if (byte === Byte.CLOSE_BRACKET) this.#depth -= 1;
        else throw this.#malformed(at, "',' or ']'");
        at += 1;
      } else if (byte === Byte.OPEN_BRACKET) {
        this.#depth += 1;
        if (this.#depth > MAX_JSON_DEPTH) throw this.#malformed(at, `at most ${MAX_JSON_DEPTH} nested arrays`);
        expects = EXPECTS.VALUE_OR_END;
        at += 1;
      } else if (byte === Byte.CLOSE_BRACKET && expects === EXPECTS.VALUE_OR_END) {
        this.#depth -= 1;
        expects = EXPECTS.COMMA_OR_END;
        at += 1;
      } else {
        if (this.#index === this.#room) throw this.#mismatch('more');
        expects = EXPECTS.REST_OF_VALUE;
      }
    }
    this.#at = at;
    this.#expects = expects;
    if (at < this.#end) return false;
    if (this.#index < this.#elements) throw this.#mismatch(String(this.#index));
    return true;
  }

  #readerOnce(): JsonElements {
    const bytes = this.#bytes;
    const datatype = this.#datatype;
    if (this.#reader === undefined) {
      if (datatype === 'BYTES') this.#reader = new JsonStrings(bytes, this.rawBytes);
      else if (datatype === 'BOOL') this.#reader = new JsonBooleans(bytes, this.#room);
      else this.#reader = new JsonNumbers(bytes, datatype, this.#room);
    }
    return this.#reader;
  }

  #mismatch(count: string): JsonTensorError {
    return new JsonTensorError(
      `Shape does not match true shape of 'data' field: [${this.#shape}] holds ${this.#elements} elements, 'data' has ${count}`,
    );
  }

  #malformed(at: number, wanted: string): JsonTensorError {
    const before = this.#index === 0 ? 'comes before element 0' : `follows behind element ${this.#index - 1}`;
    return new JsonTensorError(`${showValue(this.#bytes, at)} ${before}, at byte ${at}, expected ${wanted}`);
  }
}

/** Whether a byte is neither a space nor a bracket. */
function isInValue(byte: number): boolean {
  return byte > Byte.SPACE && byte !== Byte.OPEN_BRACKET && byte !== Byte.CLOSE_BRACKET;
}

/** Up to so many bytes, too few elements are counted, so that the error says how many there are. */
const COUNTED_BYTES = 64 * 1024;

/** The bytes of the shortest element, with what parts it from the next. */
function leastBytes(datatype: Datatype): number {
  if (datatype === 'BOOL') return 'true,'.length;
  return datatype === 'BYTES' ? '"",'.length : '0,'.length;
}
