import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeBytesTensor } from '../../src/wire/bytes-tensor.ts';
import { decodeStrings, encodeStrings } from '../../src/worker/string-tensor.ts';

const texts = fc.array(fc.string({ unit: 'binary', maxLength: 20 }));

test('strings become the raw form of a BYTES tensor, as the codec writes it', () => {
  fc.assert(
    fc.property(texts, (strings) => {
      const raw = encodeStrings(strings);
      expect(Buffer.compare(raw, encodeBytesTensor(strings.map((text) => Buffer.from(text))))).toBe(0);
    }),
  );
});

test('the raw form becomes the same strings again', () => {
  fc.assert(
    fc.property(texts, (strings) => {
      expect(decodeStrings(Buffer.from(encodeStrings(strings)))).toEqual(strings);
    }),
  );
});

test('no strings are no bytes', () => {
  expect(encodeStrings([])).toHaveLength(0);
  expect(decodeStrings(Buffer.alloc(0))).toEqual([]);
});
