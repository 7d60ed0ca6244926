/** JSON as bytes: its punctuation, where its strings end, and what a reader of it reports. */

export const Byte = {
  TAB: 0x09,
  LINE_FEED: 0x0a,
  CARRIAGE_RETURN: 0x0d,
  SPACE: 0x20,
  QUOTE: 0x22,
  COMMA: 0x2c,
  COLON: 0x3a,
  OPEN_BRACKET: 0x5b,
  BACKSLASH: 0x5c,
  CLOSE_BRACKET: 0x5d,
  OPEN_BRACE: 0x7b,
  CLOSE_BRACE: 0x7d,
} as const;

/** Bytes that are not JSON, or hold more than is allowed: deeper, longer, or more values. */
export class JsonError extends Error {
  readonly kind: 'malformed' | 'limit';
  /** The byte of the text that it is about. */
  readonly offset: number;

  constructor(kind: 'malformed' | 'limit', message: string, offset = 0) {
    super(message);
    this.name = 'JsonError';
    this.kind = kind;
    this.offset = offset;
  }
}

/** An array of a JSON text that was passed over: where it is, brackets included. */
export class JsonSpan {
  readonly start: number;
  readonly end: number;

  constructor(start: number, end: number) {
    this.start = start;
    this.end = end;
  }

  get byteLength(): number {
    return this.end - this.start;
  }
}

/** Arrays and objects inside one another. */
export const MAX_JSON_DEPTH = 64;

/** Bytes of a value that errors show. */
const MAX_SHOWN = 50;

/** The value at `start` for the text of an error. */
export function showValue(bytes: Buffer, start: number): string {
  switch (bytes[start]) {
    case undefined:
      return 'the end';
    case Byte.OPEN_BRACKET:
      return 'an array';
    case Byte.OPEN_BRACE:
      return 'an object';
    default: {
      const text = bytes.toString('utf8', start, start + MAX_SHOWN);
      const string = /^"(?:[^"\\]|\\.)*(?:"|$)/s.exec(text);
      return string?.[0] ?? /^[^\s,\]}]+|./s.exec(text)?.[0] ?? '';
    }
  }
}

export function hasWord(bytes: Buffer, start: number, word: Uint8Array): boolean {
  for (let i = 0; i < word.length; i += 1) if (bytes[start + i] !== word[i]) return false;
  return true;
}

const NOT_IN_FLAT = [Byte.QUOTE, Byte.OPEN_BRACKET, Byte.OPEN_BRACE, Byte.CLOSE_BRACE] as const;

/** Where a bracket closes, or `stop`, if there are only numbers, commas and blanks until then; otherwise `undefined`. */
export function flatEnd(bytes: Buffer, start: number, stop: number): number | undefined {
  const piece = bytes.subarray(start, stop);
  const close = piece.indexOf(Byte.CLOSE_BRACKET);
  const inside = close < 0 ? piece : piece.subarray(0, close);
  const isFlat = !NOT_IN_FLAT.some((byte) => inside.includes(byte));
  return isFlat ? start + inside.length : undefined;
}
