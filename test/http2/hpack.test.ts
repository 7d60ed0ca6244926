import { once } from 'node:events';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type AnswerEnd, AnswerHeaders } from '../../src/gateway/accept/grpc/answer-headers.ts';
import { listenHttp2 } from '../../src/gateway/accept/grpc/http2-transport.ts';
import { InferError, Status } from '../../src/gateway/errors.ts';
import { HpackDecoder } from '../../src/http2/hpack-decoder.ts';
import type { RequestHead } from '../../src/http2/request-head.ts';
import { TRANSPORT_OPTIONS } from '../support/transport-options.ts';
import { ACK, END_HEADERS, END_STREAM, frame, Type } from './raw-frames.ts';

const MAX_LIST = 64 * 1024;

function decode(decoder: HpackDecoder, block: Buffer): RequestHead {
  return decoder.decode(block, 0, block.length);
}

/** RFC 7541, appendix C.3 and C.4: three requests on one connection, and the size of the table after each. */
const APPENDIX_C = [
  [
    'C.3',
    [
      '828684410f7777772e6578616d706c652e636f6d',
      '828684be58086e6f2d6361636865',
      '828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565',
    ],
  ],
  [
    'C.4',
    [
      '828684418cf1e3c2e5f23a6ba0ab90f4ff',
      '828684be5886a8eb10649cbf',
      '828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf',
    ],
  ],
] as const;

describe('the decoder', () => {
  test.each(APPENDIX_C)('reads the examples of RFC 7541, appendix %s', (_, blocks) => {
    const decoder = new HpackDecoder(MAX_LIST);
    const [first, second, third] = blocks.map((hex) => {
      const head = decode(decoder, Buffer.from(hex, 'hex'));
      return { head, size: decoder.tableSize };
    });
    expect(first?.head).toMatchObject({ method: 'GET', scheme: 'http', path: '/', authority: 'www.example.com' });
    expect(second?.head.get('cache-control')).toBe('no-cache');
    expect(third?.head).toMatchObject({ scheme: 'https', path: '/index.html', authority: 'www.example.com' });
    expect(third?.head.get('custom-key')).toBe('custom-value');
    expect([first?.size, second?.size, third?.size]).toEqual([57, 110, 164]);
  });

  test.each([
    ['C.2.1', '400a637573746f6d2d6b65790d637573746f6d2d686561646572', 'custom-key', 'custom-header', 55],
    ['C.2.3', '100870617373776f726406736563726574', 'password', 'secret', 0],
  ])('reads the literal of appendix %s', (_, hex, name, value, size) => {
    const decoder = new HpackDecoder(MAX_LIST);
    expect(decode(decoder, Buffer.from(hex, 'hex')).get(name)).toBe(value);
    expect(decoder.tableSize).toBe(size);
  });

  test.each([
    ['an index of 0', '80'],
    ['an index behind the table', 'be'],
    ['an index far behind the table', 'ffffffff07'],
    ['an integer without an end', 'ff'],
    ['an integer that is too long', 'ffffffffffffffffff01'],
    ['a string that is longer than the block', '000561'],
    ['a name without a value', '000161'],
    ['a table size above what was announced', '3fe21f'],
    ['a table size behind a field', '8220'],
    ['EOS in a string', '000161843fffffff'],
    ['padding of a whole byte', '000161821fff'],
    ['padding of zeros', '0001618118'],
  ])('refuses %s', (_, hex) => {
    const decoder = new HpackDecoder(MAX_LIST);
    expect(() => decode(decoder, Buffer.from(hex, 'hex'))).toThrow(expect.objectContaining({ code: 9 }));
  });

  test('keeps the table, but not the fields, of a list over the limit', () => {
    const decoder = new HpackDecoder(1_000);
    // One field of 4,000 bytes in the table, and then a thousand references to it: a bomb.
    const value = Buffer.alloc(3_900, 'x');
    const added = Buffer.concat([Buffer.from([0x40, 1]), Buffer.from('a'), Buffer.from([127, 0xbd, 0x1d]), value]);
    expect(decode(decoder, added).tooLarge).toBe(true);
    const bomb = decode(decoder, Buffer.alloc(60_000, 0x80 | 62));
    expect(bomb.tooLarge).toBe(true);
    expect([...bomb.keys()]).toEqual([]);
    expect(decoder.tableSize).toBe(3_933);
  });

  test('gives equal blocks of references one head, until the table changes', () => {
    const decoder = new HpackDecoder(MAX_LIST);
    const block = Buffer.from('8286be', 'hex');
    decode(decoder, Buffer.from([0x40, 1, 0x61, 1, 0x31]));
    const head = decode(decoder, block);
    expect(head.get('a')).toBe('1');
    expect(decode(decoder, block)).toBe(head);
    decode(decoder, Buffer.from([0x40, 1, 0x61, 1, 0x32]));
    expect(decode(decoder, block).get('a')).toBe('2');
  });

  test('reads every byte that a Huffman string can hold, as Node writes it', async () => {
    // Node codes a string so where that is shorter, which a run of zeros beside every byte makes sure of.
    const bytes = [...Array(256).keys()].filter((byte) => byte >= 32 && byte !== 127);
    const zeros = '0'.repeat(30);
    const values = bytes.map((byte) => `${zeros}${String.fromCharCode(byte)}0`);
    const heads = await headsFromNode(values.map((value) => ({ 'x-value': value })));
    expect(heads.map((head) => head['x-value'])).toEqual(values);
  });

  test('reads whatever metadata Node sends, also when the table overflows', async () => {
    const name = fc.integer({ min: 0, max: 40 }).map((index) => `k${index}`);
    const value = fc.string({
      unit: fc.integer({ min: 33, max: 126 }).map((code) => String.fromCharCode(code)),
      maxLength: 300,
    });
    const sent = fc.sample(fc.dictionary(name, value, { maxKeys: 12, noNullPrototype: true }), {
      numRuns: 300,
      seed: 7,
    });
    expect(await headsFromNode(sent)).toEqual(sent);
  });
});

describe('the encoder', () => {
  const OK = { code: Status.OK, text: '' } as const;

  test('repeats its head in two bytes and its trailers in one', () => {
    const headers = new AnswerHeaders();
    headers.head();
    headers.trailers(OK, false, MAX_LIST);
    expect([headers.head().length, headers.trailers(OK, false, MAX_LIST).length]).toEqual([2, 1]);
  });

  test('is read by Node, whatever the table size and the order of answers', async () => {
    const answer = fc.constantFrom('ok', 'fail', 'trailers-only', 'details', 'others', 'refused', 'forbidden');
    const resize = fc.constantFrom(undefined, 0, 100, 300, 4_096);
    const steps = fc.array(fc.record({ answer, resize }), { minLength: 1, maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(steps, async (plan) => {
        const headers = new AnswerHeaders();
        const blocks: Buffer[][] = [];
        const expected: string[] = [];
        for (const step of plan) {
          if (step.resize !== undefined) headers.setTableSize(step.resize);
          const end: AnswerEnd = END_OF[step.answer];
          const head = step.answer === 'trailers-only' ? [] : [headers.head()];
          // Its bytes change with the next block.
          blocks.push([...head, Buffer.from(headers.trailers(end, step.answer === 'trailers-only', MAX_LIST))]);
          const { pushback } = end.failure ?? {};
          const wait = pushback === 'never' ? -1 : pushback;
          expected.push(`${end.code} ${encodeURIComponent(end.text)} ${end.trailers?.['x-more'] ?? ''} ${wait}`);
        }
        expect(await readByNode(blocks)).toEqual(expected);
      }),
      { numRuns: 40 },
    );
  });

  test('makes the block of trailers once, as long as answers share them and the peer takes as much', () => {
    const headers = new AnswerHeaders();
    const [first, second] = [{ 'x-more': 'y'.repeat(500) }, { 'x-more': 'z' }];
    const block = (trailers: typeof first, maxList = MAX_LIST): Buffer =>
      headers.trailers({ ...OK, trailers }, false, maxList);
    block(first);
    const shared = block(first);
    expect(block(first)).toBe(shared);
    expect(block(first, 400).length).toBeLessThan(10);
    expect(block(second)).not.toBe(shared);
    expect(block(first)).toEqual(shared);
    expect(block({ ...first })).toEqual(shared);
  });

  test('leaves text and metadata out where the peer takes no list of that size', () => {
    const end = { code: Status.INTERNAL, text: 'x'.repeat(900), trailers: { 'x-more': 'y' } };
    expect(new AnswerHeaders().trailers(end, true, 400).length).toBeLessThan(60);
    expect(new AnswerHeaders().trailers(end, true, MAX_LIST).length).toBeGreaterThan(900);
  });
});

const FULL = new InferError('queue_full', ' full ', { pushback: 4_812 });
const HOPELESS = new InferError('deadline_too_short', '', { pushback: 'never' });

const END_OF = {
  ok: { code: Status.OK, text: '' },
  'trailers-only': { code: Status.OK, text: '' },
  fail: { code: Status.INTERNAL, text: 'it is 100 % broken: größer' },
  details: { code: Status.OK, text: '', trailers: { 'x-more': 'more of it' } },
  others: { code: Status.OK, text: '', trailers: { 'x-more': 'something else' } },
  refused: { code: Status.RESOURCE_EXHAUSTED, text: ' full ', trailers: { 'x-more': 'load' }, failure: FULL },
  forbidden: { code: Status.RESOURCE_EXHAUSTED, text: '', failure: HOPELESS },
} as const satisfies Record<string, AnswerEnd>;

/** Sends requests with this metadata from one session of Node's, and returns what the handler saw. */
async function headsFromNode(sent: readonly Record<string, string>[]): Promise<Record<string, string>[]> {
  const seen: Record<string, string>[] = [];
  const options = { ...TRANSPORT_OPTIONS, maxMessageBytes: 100, maxConcurrentStreams: 10 };
  const transport = await listenHttp2(
    options,
    new Map([
      [
        '/t/Head',
        {
          kind: 'unary',
          handle: (call) => {
            seen.push(Object.fromEntries([...call.keys()].map((key) => [key, String(call.get(key))])));
            call.reply([]);
          },
        },
      ] as const,
    ]),
  );
  const session = http2.connect(`http://127.0.0.1:${transport.port}`);
  for (const metadata of sent) {
    const stream = session.request({
      ':method': 'POST',
      ':path': '/t/Head',
      'content-type': 'application/grpc',
      te: 'trailers',
      ...metadata,
    });
    stream.end(Buffer.alloc(5));
    stream.resume();
    await once(stream, 'close');
  }
  session.close();
  await transport.drain(1_000);
  return seen;
}

/** Has Node's client read answers, one a stream, each of these header blocks a frame; returns status, text and `x-more`. */
async function readByNode(answers: readonly (readonly Buffer[])[]): Promise<string[]> {
  const net = await import('node:net');
  const server = net.createServer((socket) => {
    socket.write(Buffer.concat([frame(Type.SETTINGS, 0, 0), frame(Type.SETTINGS, ACK, 0)]));
    let received = Buffer.alloc(0);
    let answered = 0;
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      for (const id of requestsOf(received.subarray(24)).slice(answered)) {
        const blocks = answers[answered++] ?? [];
        for (const [index, block] of blocks.entries()) {
          const isLast = index === blocks.length - 1;
          socket.write(frame(Type.HEADERS, END_HEADERS | (isLast ? END_STREAM : 0), id, block));
        }
      }
    });
  });
  server.listen(0);
  await once(server, 'listening');
  const session = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const read: string[] = [];
  for (let index = 0; index < answers.length; index++) {
    const stream = session.request({ ':method': 'POST', ':path': '/' });
    stream.end();
    stream.resume();
    let fields: http2.IncomingHttpHeaders = {};
    const note = (more: http2.IncomingHttpHeaders): void => {
      fields = { ...fields, ...more };
    };
    stream.on('response', note);
    stream.on('trailers', note);
    await once(stream, 'close');
    read.push(
      `${fields['grpc-status']} ${encodeURIComponent(decodeURIComponent(String(fields['grpc-message'] ?? '')))} ${fields['x-more'] ?? ''} ${fields['grpc-retry-pushback-ms']}`,
    );
  }
  session.destroy();
  server.close();
  return read;
}

/** The streams that a client has opened with HEADERS, in order. */
function requestsOf(bytes: Buffer): number[] {
  const ids: number[] = [];
  for (
    let at = 0;
    at + 9 <= bytes.length && at + 9 + bytes.readUIntBE(at, 3) <= bytes.length;
    at += 9 + bytes.readUIntBE(at, 3)
  ) {
    if (bytes[at + 3] === Type.HEADERS) ids.push(bytes.readUInt32BE(at + 5));
  }
  return ids;
}
