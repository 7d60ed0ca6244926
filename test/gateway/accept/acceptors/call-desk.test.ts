/** The owner's end of the line: what becomes of the memory of a parcel, and of heads that come again. */

import { beforeEach, expect, test, vi } from 'vitest';
import { CallDesk } from '../../../../src/gateway/accept/acceptors/call-desk.ts';
import { OpeningWriter } from '../../../../src/gateway/accept/acceptors/call-opening.ts';
import { AnswerRecord, RequestRecord, readFailure } from '../../../../src/gateway/accept/acceptors/call-record.ts';
import { type Parcel, ParcelReader, ParcelWriter } from '../../../../src/gateway/accept/acceptors/parcel.ts';
import { writeHanded, writeTensorCount } from '../../../../src/gateway/accept/acceptors/tensor-record.ts';
import type { Method, UnaryCall } from '../../../../src/gateway/accept/call.ts';
import { CALL_HEADS, type CallHead } from '../../../../src/gateway/accept/grpc/call-head.ts';
import { InferError } from '../../../../src/gateway/errors.ts';
import { HeaderField } from '../../../../src/http2/header-field.ts';

let calls: UnaryCall[];
let posted: Parcel[];
let openings: OpeningWriter;
let records: ParcelWriter;
let desk: CallDesk;
let lastId: number;

beforeEach(() => {
  calls = [];
  lastId = 0;
  openings = new OpeningWriter(0);
  records = new ParcelWriter();
  desk = deskOf({ kind: 'unary', handle: (call) => void calls.push(call) });
});

function deskOf(method: Method): CallDesk {
  const own: Parcel[] = [];
  posted = own;
  return new CallDesk([{ path: '/t/Method', method }], (parcel) => void own.push(parcel));
}

function headOf(fields: Readonly<Record<string, string>>): CallHead {
  const head = CALL_HEADS.requestHead(8_192) as CallHead;
  for (const [name, value] of Object.entries(fields)) head.add(new HeaderField(name, value));
  return head;
}

const PLAIN = headOf({ 'x-tenant': 'one' });
const PEER = { address: '10.0.0.7:51234' };

function write(message: Buffer, head: CallHead = PLAIN): void {
  lastId++;
  records.byte(RequestRecord.CALL);
  const call = { deadline: 1_000, namesDeadline: true, wayBackMs: 2, head, peer: PEER };
  openings.write(records, call, lastId, 0);
  records.message([message], message.byteLength, false);
  writeTensorCount(records, 0);
}

/** As another thread gets it. */
function deliver(): Parcel {
  const parcel = records.take();
  const received = structuredClone(parcel, { transfer: [...parcel] });
  desk.receive(received);
  return received;
}

test('the records of a parcel are freed when the last message in them is discarded', () => {
  for (const text of ['first', 'second', 'third']) write(Buffer.from(text));
  const [parcelRecords] = deliver();
  expect(calls.map(({ message }) => String(message))).toEqual(['first', 'second', 'third']);
  calls[0]?.discardMessage();
  calls[0]?.discardMessage();
  calls[2]?.discardMessage();
  expect(parcelRecords.detached).toBe(false);
  expect(String(calls[1]?.message)).toBe('second');
  calls[1]?.discardMessage();
  expect(parcelRecords.detached).toBe(true);
});

test('a long message is freed by itself, and the records without waiting for it', () => {
  write(Buffer.alloc(100_000, 7));
  write(Buffer.from('short'));
  const [parcelRecords, attached] = deliver();
  calls[1]?.discardMessage();
  expect([parcelRecords.detached, attached?.detached]).toEqual([true, false]);
  expect(calls[0]?.message[99_999]).toBe(7);
  calls[0]?.discardMessage();
  expect(attached?.detached).toBe(true);
});

test('messages that no method gets leave nothing behind: of refused calls, and of calls that have ended', () => {
  desk = deskOf({ kind: 'unary', handle: () => {}, screen: () => new InferError('rate_limited', 'too many') });
  write(Buffer.from('refused'));
  records.byte(RequestRecord.MESSAGE);
  records.uint32(lastId);
  records.double(2);
  records.message([Buffer.from('late')], 4, false);
  writeTensorCount(records, 0);
  expect(deliver()[0].detached).toBe(true);
});

test('the metadata and the peer of a call stay when its parcel is freed', () => {
  write(Buffer.from('text'));
  const [parcelRecords] = deliver();
  calls[0]?.discardMessage();
  expect(parcelRecords.detached).toBe(true);
  expect(calls[0]?.get('x-tenant')).toBe('one');
  expect((calls[0] as { peer?: unknown }).peer).toEqual(PEER);
});

test('each call has the metadata of its own head, however many heads come, and however often', () => {
  const heads = Array.from({ length: 700 }, (_, number) => headOf({ 'x-number': String(number) }));
  const expected: string[] = [];
  const sizes: number[] = [];
  const writeAll = (order: readonly number[]): void => {
    for (const number of order) {
      const head = heads[number];
      if (head === undefined) continue;
      const before = records.byteLength;
      write(Buffer.alloc(1), head);
      sizes.push(records.byteLength - before);
      expected.push(String(number));
    }
    deliver();
  };
  const all = [...heads.keys()];
  for (const order of [all, all, all.toReversed(), [3, 3, 3, 699, 3, 699], all]) writeAll(order);
  expect(calls.map((call) => call.get('x-number'))).toEqual(expected);
  // A head that comes for the third time is named by its number.
  const [again = 0, third = 0] = sizes.slice(3 * 700 + 1, 3 * 700 + 3);
  expect(again).toBe(third);
  expect(third).toBeLessThan(sizes[0] ?? 0);
});

test('a tensor in a file that cannot be opened fails its call, and its room is given back', async () => {
  records.byte(RequestRecord.CALL);
  openings.write(records, { deadline: 1_000, namesDeadline: true, wayBackMs: 2, head: PLAIN, peer: PEER }, 7, 0);
  records.message([Buffer.from('head')], 4, false);
  writeTensorCount(records, 1);
  const file = { pid: process.pid, descriptor: 0, inode: 123_456_789 };
  writeHanded(records, { number: 42, place: { file, offset: 0 }, byteLength: 10 });
  deliver();
  await vi.waitUntil(() => posted.length > 0);
  const [parcel] = posted;
  if (parcel === undefined) throw new Error('nothing was posted');
  const reader = new ParcelReader(parcel);
  expect([reader.byte(), reader.uint32()]).toEqual([AnswerRecord.RELEASED, 42]);
  expect([reader.byte(), reader.uint32()]).toEqual([AnswerRecord.FAIL, 7]);
  expect(readFailure(reader).failure?.reason).toBe('internal');
  expect(calls).toEqual([]);
});
