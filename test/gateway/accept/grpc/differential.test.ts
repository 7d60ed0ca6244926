/** The same calls to both transports: what a client can see must be the same. */

import http2 from 'node:http2';
import { deflateSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Listen, Method, Transport } from '../../../../src/gateway/accept/call.ts';
import { listenHttp2 } from '../../../../src/gateway/accept/grpc/http2-transport.ts';
import { listenGrpcJs } from '../../../../src/gateway/accept/grpc-js-transport.ts';
import { TRANSPORT_OPTIONS } from '../../../support/transport-options.ts';
import { collect, RawClient } from '../raw-client.ts';

const MAX_MESSAGE_BYTES = 200_000;
const OPTIONS = { ...TRANSPORT_OPTIONS, maxMessageBytes: MAX_MESSAGE_BYTES };

/** Codes that a handler may use. */
const CODES = [1, 2, 3, 4, 5, 7, 8, 9, 12, 13, 14, 16] as const;

/** Does what the first byte of its message says: answers, with its metadata as trailers, or fails with the rest as its text. */
const method: Method = {
  kind: 'unary',
  handle(call) {
    const [action = 255] = call.message;
    const rest = Buffer.from(call.message.subarray(1));
    const trailers: Record<string, string | Uint8Array> = {};
    for (const key of call.keys()) {
      const value = call.get(key);
      if (key.startsWith('x-') && value !== undefined) trailers[key] = value;
    }
    const code = CODES[action];
    if (code !== undefined) call.fail(code, rest.toString('utf8'), trailers);
    else if (action % 2 === 0) call.reply([call.message.subarray(0, 10), call.message.subarray(10)], trailers);
    else setImmediate(() => call.reply([rest], trailers));
  },
};

const stream: Method = {
  kind: 'streaming',
  handle(call) {
    let count = 0;
    call.onMessage = (message) => {
      if (message[0] === 13) call.fail(13, `message ${count}`);
      if (message[0] === 14) call.end({ 'x-early': String(count) });
      call.write([message, Buffer.from([count++ % 256])]);
    };
    call.onEnd = () => call.end({ 'x-count': String(count) });
  },
};

const ROUTES = new Map<string, Method>([
  ['/t/Unary', method],
  ['/t/Stream', stream],
]);

interface Side {
  readonly transport: Transport;
  readonly client: RawClient;
}

async function start(listen: Listen): Promise<Side> {
  const transport = await listen(OPTIONS, ROUTES);
  return { transport, client: new RawClient(transport.port) };
}

let sides: readonly [Side, Side];

beforeAll(async () => {
  sides = await Promise.all([start(listenGrpcJs), start(listenHttp2)]);
});

afterAll(async () => {
  for (const { client, transport } of sides) {
    client.close();
    await transport.drain(0);
  }
});

const messages = fc.oneof(
  { weight: 6, arbitrary: fc.uint8Array({ maxLength: 300 }) },
  {
    weight: 2,
    arbitrary: fc.integer({ min: 0, max: MAX_MESSAGE_BYTES + 1 }).map((length) => Buffer.alloc(length, length)),
  },
);
const ascii = fc.string({
  unit: fc.integer({ min: 33, max: 126 }).map((code) => String.fromCharCode(code)),
  minLength: 1,
});
const metadata = fc.dictionary(
  fc.constantFrom('x-a', 'x-b', 'x-c-bin', 'x-d-bin'),
  fc.tuple(ascii, fc.uint8Array({ maxLength: 50 })),
  { noNullPrototype: true },
);

test('unary calls: status, text, message and trailers', async () => {
  const calls = fc.record({
    message: messages,
    metadata,
    path: fc.constantFrom('/t/Unary', '/t/Unary', '/t/Unary', '/t/None'),
  });
  await fc.assert(
    fc.asyncProperty(calls, async (call) => {
      const sent = Object.fromEntries(
        Object.entries(call.metadata).map(([key, [text, bytes]]) => [
          key,
          key.endsWith('-bin') ? Buffer.from(bytes) : text,
        ]),
      );
      const [theirs, ours] = await Promise.all(
        sides.map(async ({ client }) => {
          const { status, text, message, trailers } = await client.unary(call.path, call.message, { metadata: sent });
          const keys = Object.keys(sent).map((key) => [key, trailers.get(key)]);
          return { status, message, keys, text: isOfHandler(call) ? shownText(status, text) : '' };
        }),
      );
      expect(ours).toEqual(theirs);
    }),
    { numRuns: 400 },
  );
});

test('streaming calls: messages, in order, and how they end', async () => {
  const sent = fc.array(
    messages.filter(({ length }) => length <= MAX_MESSAGE_BYTES - 1),
    { maxLength: 8 },
  );
  await fc.assert(
    fc.asyncProperty(sent, async (all) => {
      const [theirs, ours] = await Promise.all(
        sides.map(({ client }) => {
          const call = client.stream('/t/Stream');
          for (const message of all) call.write(Buffer.from(message));
          call.end();
          return collect(call).then((end) => ({ ...end, text: shownText(end.status, end.text) }));
        }),
      );
      expect(ours).toEqual(theirs);
    }),
    { numRuns: 150 },
  );
});

/** The words in which a transport refuses are its own. */
function isOfHandler({ path, message }: { readonly path: string; readonly message: Uint8Array }): boolean {
  return path !== '/t/None' && message.length <= MAX_MESSAGE_BYTES;
}

/** grpc-js says "OK" with OK, which no client needs. */
function shownText(status: string, text: string): string {
  return status === 'OK' ? '' : text;
}

interface RawCall {
  readonly headers: Record<string, string>;
  readonly body: Buffer;
}

function framed(message: Uint8Array, flag = 0, length = message.length): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = flag;
  prefix.writeUInt32BE(length, 1);
  return Buffer.concat([prefix, message]);
}

const PLAIN = Buffer.from([20, 1, 2, 3]);

const RAW: readonly (readonly [what: string, call: RawCall, status: string])[] = [
  ['gzip', { headers: { 'grpc-encoding': 'gzip' }, body: framed(gzipSync(PLAIN), 1) }, '0'],
  ['deflate', { headers: { 'grpc-encoding': 'deflate' }, body: framed(deflateSync(PLAIN), 1) }, '0'],
  ['an encoding that is not used', { headers: { 'grpc-encoding': 'gzip' }, body: framed(PLAIN) }, '0'],
  ['identity', { headers: { 'grpc-encoding': 'identity' }, body: framed(PLAIN) }, '0'],
  [
    'a gzip bomb',
    { headers: { 'grpc-encoding': 'gzip' }, body: framed(gzipSync(Buffer.alloc(MAX_MESSAGE_BYTES + 1)), 1) },
    '8',
  ],
  ['a subtype', { headers: { 'content-type': 'application/grpc+proto' }, body: framed(PLAIN) }, '0'],
  ['a malformed timeout', { headers: { 'grpc-timeout': '1 s' }, body: framed(PLAIN) }, '13'],
  ['two messages', { headers: {}, body: Buffer.concat([framed(PLAIN), framed(PLAIN)]) }, '12'],
  ['no message', { headers: {}, body: Buffer.alloc(0) }, '12'],
  ['a length over the limit', { headers: {}, body: framed(PLAIN, 0, MAX_MESSAGE_BYTES + 1) }, '8'],
];

test('messages of a stream come in order, compressed or not', async () => {
  const plain = Array.from({ length: 30 }, (_, index) => Buffer.alloc(index % 3 === 0 ? 50_000 : 10, index));
  const body = Buffer.concat(plain.map((each, index) => (index % 3 === 0 ? framed(gzipSync(each), 1) : framed(each))));
  const seen: Buffer[] = [];
  const collector: Method = {
    kind: 'streaming',
    handle(call) {
      call.onMessage = (each) => {
        seen.push(Buffer.from(each));
        // To pause and to go on must not bring them out of order.
        call.pause();
        if (seen.length % 2 === 0) setImmediate(() => call.resume());
        else call.resume();
      };
      call.onEnd = () => call.end();
    },
  };
  const transport = await listenHttp2(OPTIONS, new Map([['/t/Unary', collector]]));
  const end = await sendRaw(transport.port, { headers: { 'grpc-encoding': 'gzip' }, body });
  await transport.drain(0);
  expect(end['grpc-status']).toBe('0');
  expect(seen).toEqual(plain);
});

test.each(RAW)('by hand: %s', async (_, call, expected) => {
  const [theirs, ours] = await Promise.all(sides.map(({ transport }) => sendRaw(transport.port, call)));
  expect(ours?.['grpc-status']).toBe(expected);
  expect(ours?.[':status']).toBe(theirs?.[':status']);
  expect(ours?.['grpc-status']).toBe(theirs?.['grpc-status']);
});

/** Where grpc-js is less strict than the policy of docs/errors.md wants. */
const STRICTER: readonly (readonly [what: string, call: RawCall, status: string])[] = [
  ['gzip that is garbage', { headers: { 'grpc-encoding': 'gzip' }, body: framed(PLAIN, 1) }, '13'],
  [
    'gzip that is cut',
    { headers: { 'grpc-encoding': 'gzip' }, body: framed(gzipSync(PLAIN).subarray(0, -3), 1) },
    '13',
  ],
  [
    'gzip with bytes behind it',
    { headers: { 'grpc-encoding': 'gzip' }, body: framed(Buffer.concat([gzipSync(PLAIN), Buffer.alloc(3)]), 1) },
    '13',
  ],
  [
    'deflate with bytes behind it',
    { headers: { 'grpc-encoding': 'deflate' }, body: framed(Buffer.concat([deflateSync(PLAIN), PLAIN]), 1) },
    '13',
  ],
  ['the compressed-flag without an encoding', { headers: {}, body: framed(PLAIN, 1) }, '13'],
  ['a compressed-flag of 2', { headers: { 'grpc-encoding': 'gzip' }, body: framed(PLAIN, 2) }, '13'],
  ['a compressed-flag of 255', { headers: {}, body: framed(PLAIN, 255) }, '13'],
  ['an unknown encoding', { headers: { 'grpc-encoding': 'br' }, body: framed(PLAIN) }, '12'],
];

test.each(STRICTER)('stricter: %s', async (what, call, expected) => {
  const ours = await sendRaw(sides[1].transport.port, call);
  expect(ours['grpc-status']).toBe(expected);
  if (what === 'an unknown encoding') expect(ours['grpc-accept-encoding']).toBe('identity,deflate,gzip');
});

test('a request that is cut anywhere is INTERNAL, or UNIMPLEMENTED where nothing of it came', async () => {
  const body = framed(Buffer.alloc(40, 20));
  for (let length = 0; length < body.length; length++) {
    const ours = await sendRaw(sides[1].transport.port, { headers: {}, body: body.subarray(0, length) });
    expect(ours['grpc-status']).toBe(length === 0 ? '12' : '13');
  }
});

test.each([
  [{ 'content-type': 'application/json' }, 415],
  [{ 'content-type': 'application/grpcfoo' }, 415],
  [{ 'content-type': 'application/grpc-web' }, 415],
  [{ ':method': 'PUT' }, 405],
])('a request that is not gRPC gets its HTTP status: %o', async (headers, expected) => {
  const ours = await sendRaw(sides[1].transport.port, { headers, body: framed(PLAIN) });
  expect(ours[':status']).toBe(expected);
});

/** All fields of the answer, of its head and its trailers. */
function sendRaw(port: number, { headers, body }: RawCall): Promise<http2.IncomingHttpHeaders> {
  return new Promise((resolve, reject) => {
    const session = http2.connect(`http://127.0.0.1:${port}`);
    session.on('error', reject);
    const request = session.request({
      ':method': 'POST',
      ':path': '/t/Unary',
      'content-type': 'application/grpc',
      te: 'trailers',
      ...headers,
    });
    let fields: http2.IncomingHttpHeaders = {};
    const note = (more: http2.IncomingHttpHeaders): void => {
      fields = { ...fields, ...more };
    };
    request.on('response', note);
    request.on('trailers', note);
    request.on('error', reject);
    request.on('close', () => {
      session.destroy();
      resolve(fields);
    });
    request.resume();
    request.end(body);
  });
}
