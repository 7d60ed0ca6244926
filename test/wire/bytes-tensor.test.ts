import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import {
  BytesTensorError,
  bytesElementEnd,
  bytesRowEnds,
  checkBytesTensor,
  decodeBytesTensor,
  encodeBytesTensor,
} from '../../src/wire/bytes-tensor.ts';
import { hex } from './hex.ts';

const elements = fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 12 });

test('elements come back as they were, as views', () => {
  fc.assert(
    fc.property(elements, (values) => {
      const raw = encodeBytesTensor(values);
      const decoded = decodeBytesTensor(raw, values.length);
      expect(decoded).toEqual(values);
      expect(decoded.every((element) => element.buffer === raw.buffer)).toBe(true);
    }),
  );
});

test('an element is a little-endian length of 4 bytes and its bytes', () => {
  const text = new TextEncoder();
  expect(encodeBytesTensor([text.encode('ab'), new Uint8Array(0), text.encode('c')])).toEqual(
    new Uint8Array(hex('02000000 6162 00000000 01000000 63')),
  );
});

test.each([
  ['cut_length', '0100', 1, 'the length of an element is cut off, at byte 0 of 2'],
  ['cut_length', '00000000 000000', 2, 'the length of an element is cut off, at byte 4 of 7'],
  ['past_end', '02000000 61', 1, 'an element of 2 bytes at byte 0, 1 bytes are left'],
  ['past_end', '00000000 ffffffff 61', 2, 'an element of 4294967295 bytes at byte 4, 1 bytes are left'],
  ['count', '00000000', 2, '1 elements, expected 2'],
  ['count', '00000000 00000000', 1, '2 elements, expected 1'],
  ['count', '', 1, '0 elements, expected 1'],
] as const)('%s: %s is refused', (kind, raw, count, message) => {
  for (const check of [checkBytesTensor, decodeBytesTensor]) {
    const error = catchError(() => check(hex(raw), count));
    expect(error).toEqual(new BytesTensorError(kind, message));
    expect(error).toMatchObject({ kind });
  }
});

test('an empty tensor has no element', () => {
  expect(decodeBytesTensor(new Uint8Array(0), 0)).toEqual([]);
});

test('the walk ends at the end of each element', () => {
  const raw = encodeBytesTensor([new Uint8Array(3), new Uint8Array(0), new Uint8Array(70_000)]);
  const ends: number[] = [];
  for (let at = 0; at < raw.length; at = bytesElementEnd(raw, at)) ends.push(at);
  expect(ends).toEqual([0, 7, 11]);
});

describe('rows', () => {
  test('rows cut at their ends hold their own elements', () => {
    fc.assert(
      fc.property(elements, fc.integer({ min: 1, max: 4 }), (values, perRow) => {
        const rows = Math.floor(values.length / perRow);
        const kept = values.slice(0, rows * perRow);
        const raw = encodeBytesTensor(kept);
        const ends = bytesRowEnds(raw, perRow, rows);
        const cut = ends.map((end, row) => decodeBytesTensor(raw.subarray(ends[row - 1] ?? 0, end), perRow));
        expect(cut.flat()).toEqual(kept);
        expect(cut).toHaveLength(rows);
      }),
    );
  });

  test('rows without elements all end where they begin', () => {
    expect(bytesRowEnds(new Uint8Array(0), 0, 3)).toEqual([0, 0, 0]);
  });

  test('a tensor of another size is refused', () => {
    const raw = encodeBytesTensor([new Uint8Array(1), new Uint8Array(2), new Uint8Array(3)]);
    expect(catchError(() => bytesRowEnds(raw, 2, 2))).toMatchObject({ kind: 'count' });
    expect(catchError(() => bytesRowEnds(raw, 1, 2))).toMatchObject({ kind: 'count' });
  });
});

function catchError(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return undefined;
}
