import { expect, test } from 'vitest';

import { ProtobufReader } from '../../src/wire/protobuf-reader.ts';
import { ProtobufWriter } from '../../src/wire/protobuf-writer.ts';
import { hex } from './hex.ts';

test('lengths at the borders of their varints nest, whether the content is written or a view', () => {
  for (const size of [0, 1, 126, 127, 128, 129, 16_383, 16_384, 2_097_151, 2_097_152]) {
    for (const isView of [true, false]) {
      const content = new Uint8Array(size).fill(7);
      const writer = new ProtobufWriter();
      const outer = writer.begin(1);
      writer.text(1, 'before');
      const inner = writer.begin(2);
      if (isView) writer.bytes(3, content);
      else writer.copiedBytes(3, content, 0, size);
      writer.end(inner);
      writer.text(4, 'after');
      writer.end(outer);
      writer.bytes(5, content);

      const reader = new ProtobufReader(Buffer.concat(writer.finish()));
      expect(reader.next()).toBe(1);
      const outerEnd = reader.enter('outer');
      expect([reader.next(), reader.textAt(reader.text('before', 10))]).toEqual([1, 'before']);
      expect(reader.next()).toBe(2);
      const innerEnd = reader.enter('inner');
      expect([reader.next(), Buffer.compare(reader.bytes('content'), content), reader.next()]).toEqual([3, 0, 0]);
      reader.leave(innerEnd);
      expect([reader.next(), reader.textAt(reader.text('after', 10)), reader.next()]).toEqual([4, 'after', 0]);
      reader.leave(outerEnd);
      expect([reader.next(), Buffer.compare(reader.bytes('content'), content), reader.next()]).toEqual([5, 0, 0]);
    }
  }
});

test('a view is a chunk of its own, and an empty one is none', () => {
  const view = Uint8Array.of(1, 2);
  const writer = new ProtobufWriter();
  writer.bytes(1, view);
  writer.bytes(2, new Uint8Array(0));
  writer.bytes(3, view);
  const chunks = writer.finish();
  expect(chunks.map((chunk) => Buffer.from(chunk).toString('hex'))).toEqual(['0a02', '0102', '12001a02', '0102']);
  expect([chunks[1], chunks[3]].every((chunk) => chunk === view)).toBe(true);
});

test('a lone surrogate becomes U+FFFD', () => {
  const writer = new ProtobufWriter();
  writer.text(1, 'a\ud800b');
  expect(Buffer.concat(writer.finish())).toEqual(hex('0a05 61efbfbd62'));
});

test('an empty text is left out where proto3 leaves it out', () => {
  const writer = new ProtobufWriter();
  writer.textUnlessEmpty(1, '');
  writer.text(2, '');
  writer.textUnlessEmpty(3, 'a');
  expect(Buffer.concat(writer.finish())).toEqual(hex('1200 1a0161'));
});
