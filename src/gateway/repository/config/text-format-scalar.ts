/** Scalars of the text format: booleans, numbers and texts with escapes. */

import type { Token } from './text-format-lexer.ts';
import type { ScalarType } from './text-format-type.ts';

const INTEGER_RANGES = {
  int32: [-(2 ** 31), 2 ** 31 - 1],
  uint32: [0, 2 ** 32 - 1],
  int64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  uint64: [0, Number.MAX_SAFE_INTEGER],
} as const;

const BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ['true', true],
  ['True', true],
  ['t', true],
  ['false', false],
  ['False', false],
  ['f', false],
]);

/** Expected values by type, for messages. */
export const WANTED: Readonly<Record<ScalarType, string>> = {
  bool: 'true or false',
  string: 'a text in quotes',
  float: 'a number',
  double: 'a number',
  int32: 'a whole number of 32 bits',
  uint32: 'a whole number from 0 of 32 bits',
  int64: 'a whole number of 64 bits',
  uint64: 'a whole number from 0 of 64 bits',
};

export function booleanOf(kind: Token['kind'], text: string, isNegative: boolean): boolean | undefined {
  if (isNegative) return undefined;
  if (kind === 'number') return text === '1' ? true : text === '0' ? false : undefined;
  return BOOLEANS.get(text);
}

export function numberOf(
  type: Exclude<ScalarType, 'bool' | 'string'>,
  kind: Token['kind'],
  text: string,
  isNegative: boolean,
): number | string | undefined {
  const sign = isNegative ? -1 : 1;
  if (type === 'float' || type === 'double') {
    if (kind === 'number') return sign * (isInteger(text) ? integerOf(text) : Number(text.replace(/[fF]$/, '')));
    if (/^inf(inity)?$/i.test(text)) return sign * Number.POSITIVE_INFINITY;
    return /^nan$/i.test(text) ? Number.NaN : undefined;
  }
  if (kind !== 'number' || !isInteger(text)) return undefined;
  const value = sign * integerOf(text);
  const [least, most] = INTEGER_RANGES[type];
  // `+ 0` makes no -0 of it.
  return value >= least && value <= most ? value + 0 : longOf(type, text, isNegative);
}

/** Beyond 2^53 the digits as a text, as JSON of protobuf has all integers of 64 bits. */
function longOf(type: ScalarType, text: string, isNegative: boolean): string | undefined {
  if ((type !== 'int64' && type !== 'uint64') || text.length > 25) return undefined;
  const value = BigInt(text.replace(/^0(?=[0-7])/, '0o')) * (isNegative ? -1n : 1n);
  const fits = type === 'int64' ? BigInt.asIntN(64, value) === value : BigInt.asUintN(64, value) === value;
  return fits ? String(value) : undefined;
}

function isInteger(text: string): boolean {
  return /^(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9]\d*)$/.test(text);
}

/** Hexadecimal with `0x`, octal with `0`, or decimal. */
function integerOf(text: string): number {
  return /^0[0-7]+$/.test(text) ? Number.parseInt(text, 8) : Number(text);
}

const SIMPLE_ESCAPES: Readonly<Record<string, number>> = {
  a: 0x07,
  b: 0x08,
  f: 0x0c,
  n: 0x0a,
  r: 0x0d,
  t: 0x09,
  v: 0x0b,
  '\\': 0x5c,
  "'": 0x27,
  '"': 0x22,
  '?': 0x3f,
};

const ESCAPE = /\\(?:x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{1,3})|([\s\S]))/g;

export function unescaped(written: readonly string[]): string | { readonly problem: string } {
  const text = written.join('');
  // No escape is shorter than what it stands for. One buffer: a text of a megabyte may be a quarter of a million escapes.
  const bytes = Buffer.allocUnsafe(Buffer.byteLength(text));
  let length = 0;
  for (const each of written) {
    const end = unescapeInto(bytes, length, each);
    if (typeof end === 'string') return { problem: end };
    length = end;
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes.subarray(0, length));
  } catch {
    return { problem: 'the text is not valid UTF-8' };
  }
}

/** Writes the bytes of one text from `start`. @returns where they end, or what is wrong with the text */
function unescapeInto(bytes: Buffer, start: number, written: string): number | string {
  let at = start;
  let from = 0;
  for (const { index, 0: sequence, 1: hex, 2: short, 3: long, 4: octal, 5: simple = '' } of written.matchAll(ESCAPE)) {
    if (index > from) at += bytes.write(written.slice(from, index), at);
    from = index + sequence.length;
    const byte =
      hex !== undefined
        ? Number.parseInt(hex, 16)
        : octal !== undefined
          ? Number.parseInt(octal, 8)
          : SIMPLE_ESCAPES[simple];
    const point = short ?? long;
    if (point !== undefined) {
      const code = Number.parseInt(point, 16);
      if (code > 0x10_ffff || (code >= 0xd800 && code <= 0xdfff)) return `${sequence} is no character`;
      at += bytes.write(String.fromCodePoint(code), at);
    } else if (byte === undefined || byte > 0xff) {
      return `there is no escape ${sequence}`;
    } else {
      bytes[at++] = byte;
    }
  }
  return at + bytes.write(written.slice(from), at);
}
