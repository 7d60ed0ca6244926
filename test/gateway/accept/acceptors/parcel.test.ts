import { expect, test } from 'vitest';
import {
  metadataBlock,
  metadataOf,
  readFailure,
  writeFailure,
} from '../../../../src/gateway/accept/acceptors/call-record.ts';
import { ParcelReader, ParcelWriter } from '../../../../src/gateway/accept/acceptors/parcel.ts';
import { InferError, Status } from '../../../../src/gateway/errors.ts';
import { below, pick, type Random, randomBytes, randomFrom } from '../../../support/random.ts';

const ATTACHED_BYTES = 32 * 1024;
const SIZES = [0, 1, 255, 4_096, ATTACHED_BYTES - 1, ATTACHED_BYTES, ATTACHED_BYTES + 1, 200_000];
const TEXTS = ['', 'plain', 'größer als 100 % – 猫 🐈', 'x'.repeat(70_000), 'two\nlines'];

/** A field of a record: how it is written, and how it is read again. */
interface Field {
  write(to: ParcelWriter): void;
  read(from: ParcelReader): unknown;
  readonly value: unknown;
}

function fieldOf(random: Random): Field {
  switch (below(5, random)) {
    case 0: {
      const value = below(256, random);
      return { value, write: (to) => to.byte(value), read: (from) => from.byte() };
    }
    case 1: {
      const value = Math.floor(random() * 2 ** 32);
      return { value, write: (to) => to.uint32(value), read: (from) => from.uint32() };
    }
    case 2: {
      const value = pick([0, -1.5, Number.POSITIVE_INFINITY, random() * 1e15], random);
      return { value, write: (to) => to.double(value), read: (from) => from.double() };
    }
    case 3: {
      const value = pick(TEXTS, random);
      return { value, write: (to) => to.text(value), read: (from) => from.text() };
    }
    default:
      return messageOf(random);
  }
}

/** In one chunk or several, in memory of its own or as a view. */
function messageOf(random: Random): Field {
  const size = pick(SIZES, random);
  const value = Buffer.alloc(size, randomBytes(16, random));
  const cut = below(size + 1, random);
  const own = Buffer.allocUnsafeSlow(size);
  value.copy(own);
  const chunks = pick([[own], [value.subarray(0, cut), value.subarray(cut)], [Buffer.concat([value])]], random);
  return {
    value,
    write: (to) => void to.message(chunks, size, pick([true, false], random)),
    read: (from) => from.message().bytes,
  };
}

test('all fields written to a parcel are read from its buffers in another thread, in the same order', () => {
  const random = randomFrom(7);
  const writer = new ParcelWriter();
  for (let round = 0; round < 200; round++) {
    const fields = Array.from({ length: 1 + below(20, random) }, () => fieldOf(random));
    for (const field of fields) field.write(writer);
    const parcel = writer.take();
    const reader = new ParcelReader(structuredClone(parcel, { transfer: [...parcel] }));
    for (const field of fields) expect(reader.isAtEnd ? 'nothing' : field.read(reader)).toEqual(field.value);
    expect(reader.isAtEnd).toBe(true);
    expect(writer.isEmpty).toBe(true);
  }
});

test('a long message in memory of its own changes hands, and of every other there is a copy', () => {
  const writer = new ParcelWriter();
  const own = Buffer.allocUnsafeSlow(ATTACHED_BYTES).fill(1);
  const view = Buffer.allocUnsafeSlow(2 * ATTACHED_BYTES).subarray(ATTACHED_BYTES);
  const kept = Buffer.allocUnsafeSlow(ATTACHED_BYTES).fill(2);
  expect(writer.message([own], own.length, true)).toBe('handed-over');
  expect(writer.message([view], view.length, true)).toBe('copied');
  expect(writer.message([kept], kept.length, false)).toBe('copied');
  kept.fill(9);
  const parcel = writer.take();
  const reader = new ParcelReader(structuredClone(parcel, { transfer: [...parcel] }));
  expect([own.length, kept.length]).toEqual([0, ATTACHED_BYTES]);
  const messages = [reader.message().bytes, reader.message().bytes, reader.message().bytes];
  expect([messages[0]?.[0], messages[1]?.length, messages[2]?.[0]]).toEqual([1, ATTACHED_BYTES, 2]);
});

test('the bytes under way count the records and the attachments', () => {
  const writer = new ParcelWriter();
  writer.message([Buffer.alloc(100_000)], 100_000, false);
  writer.message([Buffer.alloc(10)], 10, false);
  const { byteLength } = writer;
  const total = writer.take().reduce((sum, buffer) => sum + buffer.byteLength, 0);
  expect(byteLength).toBe(total);
  expect(total).toBe(4 + 100_000 + 5 + 10 + 5);
});

test('a turn that says much posts the buffer itself, the next one has another, and a turn that says little posts little', () => {
  const writer = new ParcelWriter();
  const much = Buffer.alloc(10_000, 1);
  for (let count = 0; count < 20; count++) writer.message([much], much.length, false);
  const first = writer.take();
  writer.message([Buffer.from('little')], 6, false);
  const second = writer.take();
  expect(first[0].byteLength).toBeLessThanOrEqual(2 * 20 * (much.length + 5));
  expect(second[0].byteLength).toBe(4 + 6 + 5);
  const reader = new ParcelReader(structuredClone(first, { transfer: [...first] }));
  for (let count = 0; count < 20; count++) expect(reader.message().bytes).toEqual(much);
  expect(reader.isAtEnd).toBe(true);
  expect(String(new ParcelReader(second).message().bytes)).toBe('little');
});

test('metadata keeps each key with its first value, and bytes above ASCII', () => {
  const fields = new Map([
    ['x-tenant', 'größe'],
    ['x-empty', ''],
    ['x-bytes-bin', 'AAE='],
    ['constructor', '1'],
  ]);
  const block = metadataBlock(fields.keys(), (key) => fields.get(key));
  expect([...metadataOf(block)]).toEqual([...fields]);
  expect([...metadataOf(metadataBlock([], () => undefined))]).toEqual([]);
});

test('a failure keeps its reason, the field that it rejects and its pushback', () => {
  const writer = new ParcelWriter();
  const rejected = new InferError('invalid_request', 'no such shape', { field: "inputs['x'].shape" });
  const failures = [rejected, new InferError('queue_full', 'full', { pushback: 7 }), undefined];
  for (const failure of failures)
    writeFailure(writer, { code: Status.INVALID_ARGUMENT, text: 'no such shape', failure });
  const reader = new ParcelReader(writer.take());
  const read = failures.map(() => readFailure(reader));
  expect(read.map(({ failure }) => [failure?.reason, failure?.field, failure?.pushback])).toEqual([
    ['invalid_request', "inputs['x'].shape", undefined],
    ['queue_full', undefined, 7],
    [undefined, undefined, undefined],
  ]);
  expect(reader.isAtEnd).toBe(true);
});
