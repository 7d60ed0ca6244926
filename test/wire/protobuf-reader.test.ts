import { isUtf8 } from 'node:buffer';

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { WireError } from '../../src/wire/limits.ts';
import { NO_TEXT, ProtobufReader } from '../../src/wire/protobuf-reader.ts';
import { hex } from './hex.ts';

/** Reads a text as the only field of a message. */
function readText(bytes: Uint8Array): string {
  const reader = new ProtobufReader(Buffer.concat([Uint8Array.of(0x0a, bytes.length), bytes]));
  reader.next();
  return reader.textAt(reader.text('a text', 127));
}

describe('texts', () => {
  test('only valid UTF-8 is accepted, and reads as Node reads it', () => {
    // Mostly bytes that begin, continue or nearly make a character, so that both answers are common.
    const byte = fc.constantFrom(
      0x00,
      0x41,
      0x7f,
      0x80,
      0x8f,
      0x90,
      0x9f,
      0xa0,
      0xbf,
      0xc1,
      0xc2,
      0xdf,
      0xe0,
      0xe1,
      0xed,
    );
    const high = fc.constantFrom(0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff);
    const bytes = fc.array(fc.oneof(byte, high), { maxLength: 5 }).map((values) => Uint8Array.from(values));
    fc.assert(
      fc.property(bytes, (value) => {
        if (isUtf8(value)) expect(readText(value)).toBe(new TextDecoder('utf-8', { ignoreBOM: true }).decode(value));
        else expect(() => readText(value)).toThrow(WireError);
      }),
      { numRuns: 20_000 },
    );
  });

  test('every pair of short texts reads as itself, whichever was read before', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary', maxLength: 8 }), { maxLength: 50 }), (texts) => {
        expect(texts.map((text) => readText(new TextEncoder().encode(text)))).toEqual(texts);
      }),
    );
  });

  test('a text is not taken for another one, read before, whose characters are its bytes', () => {
    // The two share a slot among the recent texts.
    const text = '\u8000\u00e9';
    const lookalike = Buffer.from(text, 'utf8').toString('latin1');
    const read = [lookalike, text, lookalike].map((value) => readText(new TextEncoder().encode(value)));
    expect(read).toEqual([lookalike, text, lookalike]);
  });

  test('a text that is absent is empty', () => {
    expect(new ProtobufReader(new Uint8Array(0)).textAt(NO_TEXT)).toBe('');
  });
});

describe('varints', () => {
  test.each([
    ['00', 0n],
    ['7f', 127n],
    ['8001', 128n],
    ['8000', 0n],
    ['ffffffff0f', 2n ** 32n - 1n],
    ['8080808010', 2n ** 32n],
    ['ffffffffffffff7f', 2n ** 56n - 1n],
    ['ffffffffffffffffff01', 2n ** 64n - 1n],
    ['80808080808080808000', 0n],
  ])('%s is %d', (digits, expected) => {
    const reader = new ProtobufReader(hex('08', digits));
    reader.next();
    expect(reader.uint64('a number')).toBe(expected);
    expect(reader.next()).toBe(0);
  });

  test('an int64 in a number is exact to 2^53 and the nearest above', () => {
    for (const value of [
      0n,
      -1n,
      2n ** 53n,
      -(2n ** 53n),
      2n ** 53n + 1n,
      2n ** 63n - 1n,
      -(2n ** 63n),
      -(2n ** 32n),
    ]) {
      const digits: number[] = [];
      for (let rest = BigInt.asUintN(64, value); digits.length < 10; rest >>= 7n) {
        digits.push(Number(rest & 0x7fn) | (digits.length < 9 ? 0x80 : 0));
      }
      const reader = new ProtobufReader(Uint8Array.from(digits));
      reader.readVarint();
      expect(reader.int64Number).toBe(Number(value));
    }
  });
});
