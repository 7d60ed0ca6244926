/** Heads of requests that no gRPC client sends: which are refused, with which error, and that other calls go on. */

import { beforeEach, describe, expect, test } from 'vitest';
import type { Method, UnaryCall } from '../../src/gateway/accept/call.ts';
import { MemoryConnection, NOTHING_HELD } from './memory-connection.ts';
import {
  END_HEADERS,
  END_STREAM,
  errorOf,
  frame,
  grpcMessage,
  HELLO,
  literal,
  request,
  Type,
  unaryRequest,
} from './raw-frames.ts';

const NO_ERROR = 0;
const PROTOCOL_ERROR = 1;
const ENHANCE_YOUR_CALM = 11;

let calls: UnaryCall[] = [];
const echo: Method = {
  kind: 'unary',
  handle(call) {
    calls.push(call);
    call.reply([call.message]);
  },
};

function connect(): MemoryConnection {
  const memory = new MemoryConnection({ '/t/Echo': echo });
  memory.push(HELLO);
  return memory;
}

type Fields = readonly (readonly [name: string, value: string])[];

const POST: Fields = [
  [':method', 'POST'],
  [':scheme', 'http'],
];
const GRPC: Fields = [
  ['content-type', 'application/grpc'],
  ['te', 'trailers'],
];

/** Sends a request of these fields, cut into frames, with an empty message. */
function ask(memory: MemoryConnection, id: number, fields: Fields): void {
  const block = Buffer.concat(fields.map(([name, value]) => literal(name, value)));
  const first = block.subarray(0, 16_000);
  memory.push(frame(Type.HEADERS, block.length > first.length ? 0 : END_HEADERS, id, first));
  for (let at = first.length; at < block.length; at += 16_000) {
    const part = block.subarray(at, at + 16_000);
    memory.push(frame(Type.CONTINUATION, at + part.length === block.length ? END_HEADERS : 0, id, part));
  }
  memory.push(frame(Type.DATA, END_STREAM, id, grpcMessage(Buffer.alloc(0))));
}

/** `reset N`, `gone N` with the connection, or the text of the block that ends the answer. */
function answerOf({ frames }: MemoryConnection, id: number): string {
  const goAway = frames.find(({ type }) => type === Type.GOAWAY);
  if (goAway !== undefined) return `gone ${errorOf(goAway).code}`;
  const reset = frames.find((one) => one.type === Type.RST_STREAM && one.id === id);
  // With NO_ERROR it only says that the rest of a request that is answered is not needed.
  if (reset !== undefined && errorOf(reset).code !== NO_ERROR) return `reset ${errorOf(reset).code}`;
  const ended = frames.filter((one) => one.type === Type.HEADERS && one.id === id);
  return ended.map(({ payload }) => payload.toString('latin1')).join(' ');
}

/** Another call, on the same connection. */
function expectAlive(memory: MemoryConnection): void {
  const before = calls.length;
  memory.push(unaryRequest(99_999, '/t/Echo'));
  expect(calls).toHaveLength(before + 1);
  expect(memory.held).toEqual(NOTHING_HELD);
}

beforeEach(() => {
  calls = [];
});

describe('a path', () => {
  test.each(['/__proto__', '/constructor', '/t/Echo/', '/t//Echo', '/T/Echo', '/t/Echo?x', `/${'x'.repeat(16_000)}`])(
    'that is no method is UNIMPLEMENTED, in a bounded text: %.20s',
    (path) => {
      const memory = connect();
      ask(memory, 1, [...POST, [':path', path], ...GRPC]);
      const answer = answerOf(memory, 1);
      expect(answer).toContain('grpc-status\x0212');
      expect(answer.length).toBeLessThan(1_024);
      expect(calls).toHaveLength(0);
      expectAlive(memory);
    },
  );

  test.each<[what: string, fields: Fields]>([
    ['without a slash', [...POST, [':path', 't/Echo'], ...GRPC]],
    ['that is empty', [...POST, [':path', ''], ...GRPC]],
    ['that is missing', [...POST, ...GRPC]],
    ['of CONNECT', [[':method', 'CONNECT'], [':authority', 'other:443'], ...GRPC]],
    ['that is given twice', [...POST, [':path', '/t/Echo'], [':path', '/t/Echo'], ...GRPC]],
    ['behind other fields', [...POST, ...GRPC, [':path', '/t/Echo']]],
    ['with a pseudo-field that there is not', [...POST, [':path', '/t/Echo'], [':user', 'root'], ...GRPC]],
  ])('%s resets the stream, and runs nothing', (_, fields) => {
    const memory = connect();
    ask(memory, 1, fields);
    expect(answerOf(memory, 1)).toBe(`reset ${PROTOCOL_ERROR}`);
    expect(calls).toHaveLength(0);
    expectAlive(memory);
  });
});

describe('metadata', () => {
  const head: Fields = [...POST, [':path', '/t/Echo'], ...GRPC];

  test.each([
    ['a line feed', 'x-a', 'one\ntwo'],
    ['a carriage return', 'x-a', 'one\rtwo'],
    ['a zero', 'x-a', 'one\0two'],
    ['a space before it', 'x-a', ' one'],
    ['a tab behind it', 'x-a', 'one\t'],
    ['a name in upper case', 'X-A', 'one'],
    ['a name with a colon', 'x:a', 'one'],
    ['a name with a space', 'x a', 'one'],
    ['no name', '', 'one'],
    ['a field of a connection', 'connection', 'close'],
    ['another `te` than trailers', 'te', 'gzip'],
    ['a length that is none', 'content-length', '5x'],
    ['a length that is not that of the body', 'content-length', '6'],
  ])('with %s resets the stream, and runs nothing', (_, name, value) => {
    const memory = connect();
    ask(memory, 1, [...head, [name, value]]);
    expect(answerOf(memory, 1)).toBe(`reset ${PROTOCOL_ERROR}`);
    expect(calls).toHaveLength(0);
    expectAlive(memory);
  });

  test.each([
    ['17 KB', [['x-a', 'a'.repeat(16_000)] as const, ['x-b', 'b'.repeat(1_000)] as const]],
    ['60 KB', Array.from({ length: 6 }, (_, index) => [`x-${index}`, 'v'.repeat(10_000)] as const)],
    ['500 pairs', Array.from({ length: 500 }, (_, index) => [`x-${index}`, 'value'] as const)],
  ])('with %s is taken', (_, fields) => {
    const memory = connect();
    ask(memory, 1, [...head, ...fields]);
    expect(calls).toHaveLength(1);
    expect([...(calls[0]?.keys() ?? [])]).toHaveLength(fields.length);
    expectAlive(memory);
  });

  test('above 64 KiB, counted with the cost of each pair, is RESOURCE_EXHAUSTED', () => {
    const memory = connect();
    ask(memory, 1, [...head, ...Array.from({ length: 2_000 }, (_, index) => [`x-${index}`, 'v'] as const)]);
    expect(answerOf(memory, 1)).toContain('grpc-status\x018');
    expect(calls).toHaveLength(0);
    expectAlive(memory);
  });

  test('with 70 KB as sent ends the connection: decoding would have to go on', () => {
    const memory = connect();
    ask(memory, 1, [...head, ...Array.from({ length: 7 }, (_, index) => [`x-${index}`, 'v'.repeat(10_000)] as const)]);
    expect(answerOf(memory, 1)).toBe(`gone ${ENHANCE_YOUR_CALM}`);
    expect(calls).toHaveLength(0);
    expect(memory.held).toEqual(NOTHING_HELD);
  });

  test.each([
    ['with padding', 'AAECAw==', [0, 1, 2, 3]],
    ['without padding', 'AAECAw', [0, 1, 2, 3]],
    ['of nothing', '', []],
    ['several with commas between them: the first', 'AAE=,Ag', [0, 1]],
    ['several, of which the first is empty', ',Ag', []],
    // Never an exception: what can be read of it is.
    ['that is not Base64', '!!!!', []],
  ])('in bytes, %s', (_, value, bytes) => {
    const memory = connect();
    ask(memory, 1, [...head, ['x-bytes-bin', value]]);
    expect(calls[0]?.get('x-bytes-bin')).toEqual(Buffer.from(bytes));
    expectAlive(memory);
  });

  test('that comes more than once has the value that came first, as text and as bytes', () => {
    const memory = connect();
    ask(memory, 1, [...head, ['x-a', '1'], ['x-b-bin', 'AQ'], ['x-a', '2'], ['x-b-bin', 'Ag']]);
    expect([calls[0]?.get('x-a'), calls[0]?.get('x-b-bin')]).toEqual(['1', Buffer.from([1])]);
    expect([...(calls[0]?.keys() ?? [])]).toEqual(['x-a', 'x-b-bin']);
  });

  test('that belongs to the protocol is kept from the application', () => {
    const memory = connect();
    const more: Fields = [
      ['grpc-timeout', '1S'],
      ['grpc-encoding', 'identity'],
      ['grpc-accept-encoding', 'gzip'],
      ['x-own', '1'],
    ];
    ask(memory, 1, [...head, ...more]);
    expect([...(calls[0]?.keys() ?? [])]).toEqual(['x-own']);
  });
});

describe('heads that are not quite gRPC', () => {
  test('a request without a content type gets an HTTP status', () => {
    const memory = connect();
    ask(memory, 1, [...POST, [':path', '/t/Echo'], ['te', 'trailers']]);
    expect(answerOf(memory, 1)).toContain('415');
    expect(calls).toHaveLength(0);
    expectAlive(memory);
  });

  test('a request without `te: trailers` is answered: it came through, and so will its trailers', () => {
    const memory = connect();
    ask(memory, 1, [...POST, [':path', '/t/Echo'], ['content-type', 'application/grpc']]);
    expect(calls).toHaveLength(1);
  });

  test('two timeouts are as malformed as none that can be read', () => {
    const memory = connect();
    ask(memory, 1, [...POST, [':path', '/t/Echo'], ...GRPC, ['grpc-timeout', '1S'], ['grpc-timeout', '2S']]);
    expect(answerOf(memory, 1)).toContain('grpc-status\x0213');
    expect(calls).toHaveLength(0);
  });
});

test('a failure without a message is trailers only: one block that is head and end', async () => {
  const memory = new MemoryConnection({
    '/t/Fail': { kind: 'unary', handle: (call) => call.fail(5, 'no such thing') },
  });
  memory.push(HELLO);
  memory.push(unaryRequest(1, '/t/Fail'));
  memory.push(request(3, '/t/Unknown'));
  await expect
    .poll(() => memory.frames.filter(({ flags, type }) => type === Type.HEADERS && flags & END_STREAM))
    .toHaveLength(2);
  for (const id of [1, 3]) {
    const answer = memory.frames.filter((one) => one.id === id && one.type !== Type.RST_STREAM);
    expect(answer).toHaveLength(1);
    const [only] = answer;
    expect(only).toMatchObject({ type: Type.HEADERS, flags: END_HEADERS | END_STREAM });
    // `:status: 200` of the static table comes first.
    expect(only?.payload[0]).toBe(0x88);
  }
  const text = memory.frames.find(({ id }) => id === 1)?.payload.toString('latin1');
  for (const part of ['application/grpc', 'grpc-status\x015', 'no such thing']) expect(text).toContain(part);
});
