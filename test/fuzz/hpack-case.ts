/** Header blocks, with Node's HTTP/2 as the other end: what it encodes we decode, what it takes we take, what we encode it decodes. */

import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { ConnectionError } from '../../src/http2/error-code.ts';
import { HpackDecoder } from '../../src/http2/hpack-decoder.ts';
import type { RequestHead } from '../../src/http2/request-head.ts';
import { END_HEADERS, END_STREAM, errorOf, frame, framesOf, PREFACE, Type } from '../http2/raw-frames.ts';
import { below, pick, type Random, randomBytes } from '../support/random.ts';
import { PeerSocket, turn } from './node-peer.ts';

const MAX_LIST = 2 ** 20;
const COMPRESSION_ERROR = 9;

type Metadata = Readonly<Record<string, string | readonly string[]>>;

/** From the alphabet that field values have: visible characters, spaces between them, and bytes above. */
function anyValue(random: Random): string {
  const length = random() < 0.1 ? below(2_000, random) : below(40, random);
  const kind = below(3, random);
  const codes = Array.from({ length }, () =>
    kind === 0 ? 33 + below(94, random) : kind === 1 ? 48 + below(10, random) : 128 + below(128, random),
  );
  return String.fromCharCode(...codes);
}

function anyMetadata(random: Random): Metadata {
  const entries = Array.from({ length: below(10, random) }, (): [string, string | string[]] => {
    const name = `x-${random() < 0.7 ? below(12, random) : 'n'.repeat(1 + below(60, random))}`;
    const value = random() < 0.15 ? [anyValue(random), anyValue(random)] : anyValue(random);
    return [name, value];
  });
  return Object.fromEntries(entries);
}

/** RFC 9113, section 6.5.2. */
function sizeOf(fields: Iterable<readonly [string, string]>): number {
  let size = 0;
  for (const [name, value] of fields) size += name.length + value.length + 32;
  return size;
}

/** A client of Node's sends requests, with tables of any size, and Huffman codes where those are shorter: we read what it sent. */
export async function tryNodeEncoder(random: Random): Promise<void> {
  let sent = Buffer.alloc(0);
  const socket = new PeerSocket((bytes) => {
    sent = Buffer.concat([sent, bytes]);
  });
  const maxDeflateDynamicTableSize = pick([0, 33, 100, 1_000, 4_096, 65_536], random);
  const session = http2.connect('http://peer', { createConnection: () => socket, maxDeflateDynamicTableSize });
  session.on('error', () => undefined);
  socket.receive(frame(Type.SETTINGS, 0, 0));
  const requests = Array.from({ length: 1 + below(20, random) }, () => anyMetadata(random));
  for (const metadata of requests) {
    const secret = Object.keys(metadata).filter(() => random() < 0.1);
    const stream = session.request({
      ':method': 'POST',
      ':authority': 'peer',
      ':path': '/t/Method',
      ...metadata,
      [http2.sensitiveHeaders]: secret,
    });
    stream.on('error', () => undefined);
    if (random() < 0.3) await turn();
  }
  for (let turns = 0; turns < 100 && blocksOf(sent).length < requests.length; turns++) await turn();
  session.destroy();
  const decoder = new HpackDecoder(MAX_LIST);
  const blocks = blocksOf(sent);
  assert.equal(blocks.length, requests.length, 'Node did not send all requests');
  for (const [index, block] of blocks.entries()) {
    const metadata = requests[index] ?? {};
    const head = decoder.decode(block, 0, block.length);
    const fields = Object.entries(metadata).flatMap(([name, value]) =>
      typeof value === 'string' ? [[name, value] as const] : value.map((each) => [name, each] as const),
    );
    assert.deepEqual([...head.keys()], [...new Set(fields.map(([name]) => name))]);
    for (const [name, value] of Object.entries(metadata)) {
      if (!name.endsWith('-bin')) assert.equal(head.get(name), typeof value === 'string' ? value : value[0]);
    }
    const own = [
      [':method', 'POST'],
      [':path', '/t/Method'],
      [':scheme', 'http'],
      [':authority', 'peer'],
    ] as const;
    // All of them, though a head gives only the first value of a name.
    assert.equal(head.byteLength, sizeOf([...own, ...fields]));
    assert.equal(head.isRequest, true);
  }
}

/** The header blocks of all streams, in order. */
function blocksOf(sent: Buffer): Buffer[] {
  const blocks: Buffer[] = [];
  let open: Buffer[] = [];
  for (const { type, flags, payload } of framesOf(sent.subarray(PREFACE.length))) {
    if (type !== Type.HEADERS && type !== Type.CONTINUATION) continue;
    // Node sends a priority with HEADERS only on request.
    open.push(type === Type.HEADERS && flags & 0x20 ? payload.subarray(5) : payload);
    if (flags & END_HEADERS) {
      blocks.push(Buffer.concat(open));
      open = [];
    }
  }
  return blocks;
}

/** `:method: POST`, `:scheme: http`, `:path: /`: what makes a block a request for Node. */
const REQUEST = Buffer.from([0x83, 0x86, 0x84]);

function anyInteger(first: number, prefix: number, random: Random): Buffer {
  const mask = (1 << prefix) - 1;
  const value = pick(
    [0, 1, 2, mask - 1, mask, mask + 1, mask + 127, mask + 128, 4_096, 4_097, below(200, random)],
    random,
  );
  if (value < mask) return Buffer.from([first | value]);
  const bytes = [first | mask];
  let rest = value - mask;
  for (; rest >= 0x80; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return Buffer.from([...bytes, rest]);
}

function anyString(random: Random): Buffer {
  const text = Buffer.from(pick(['', 'a', 'x-a', 'value', '0'.repeat(below(200, random))], random));
  if (random() < 0.6) return Buffer.concat([Buffer.from([text.length & 0x7f]), text.subarray(0, text.length & 0x7f)]);
  // As if it were a Huffman code; now and then it is one.
  const code = random() < 0.3 ? Buffer.from('a8eb10649cbf', 'hex') : randomBytes(below(8, random), random);
  return Buffer.concat([Buffer.from([0x80 | code.length]), code]);
}

function anyRepresentation(random: Random): Buffer {
  switch (below(7, random)) {
    case 0:
      return anyInteger(0x80, 7, random);
    case 1:
      return Buffer.from([0x80 | (62 + below(8, random))]);
    case 2:
      return anyInteger(0x20, 5, random);
    case 3:
      return randomBytes(1 + below(6, random), random);
    default: {
      const [first, prefix] = pick(
        [
          [0x40, 6],
          [0x00, 4],
          [0x10, 4],
        ] as const,
        random,
      );
      if (random() < 0.3) return Buffer.concat([anyInteger(first, prefix, random), anyString(random)]);
      return Buffer.concat([Buffer.from([first]), nameOf(random), anyString(random)]);
    }
  }
}

function nameOf(random: Random): Buffer {
  const name = Buffer.from(`x-${below(5, random)}`);
  return Buffer.concat([Buffer.from([name.length]), name]);
}

function anyBlock(random: Random): Buffer {
  const changes = random() < 0.2 ? [anyInteger(0x20, 5, random)] : [];
  const fields = Array.from({ length: below(5, random) }, () => anyRepresentation(random));
  const block = Buffer.concat([...changes, REQUEST, ...fields]);
  if (random() < 0.9 || block.length === 0) return block;
  block[below(block.length, random)] = below(256, random);
  return block;
}

/** Blocks that no encoder makes: Node's server ends the connection where we do, and reads in the others what we read. */
export async function tryAnyBlocks(random: Random): Promise<void> {
  const blocks = Array.from({ length: 1 + below(12, random) }, () => anyBlock(random));
  const decoder = new HpackDecoder(MAX_LIST);
  const heads: RequestHead[] = [];
  let failure: ConnectionError | undefined;
  try {
    for (const block of blocks) heads.push(decoder.decode(block, 0, block.length));
  } catch (thrown) {
    assert.ok(thrown instanceof ConnectionError, `not an error of HPACK: ${thrown}`);
    assert.equal(thrown.code, COMPRESSION_ERROR);
    failure = thrown;
  }
  // Stricter than nghttp2, which takes an integer of more bytes than it needs.
  if (failure?.message === 'an integer that is too long') return;

  const { seen, compressionError } = await readByNodeServer(blocks);
  assert.equal(compressionError, failure !== undefined, `we say: ${failure?.message ?? 'it is right'}`);
  for (const [id, headers] of seen) {
    const head = heads[(id - 1) / 2];
    assert.ok(head !== undefined, `Node reads block ${(id - 1) / 2}, and we do not`);
    assert.equal(head.path, headers[':path']);
    for (const [name, value] of Object.entries(headers)) {
      // Node joins values of one name; it has them in lower case, as they came.
      if (/^x-\d$/.test(name))
        assert.ok(String(value).startsWith(String(head.get(name))), `${name}: ${value}, ${head.get(name)}`);
    }
  }
}

async function readByNodeServer(blocks: readonly Buffer[]): Promise<{
  readonly seen: ReadonlyMap<number, http2.IncomingHttpHeaders>;
  readonly compressionError: boolean;
}> {
  const seen = new Map<number, http2.IncomingHttpHeaders>();
  let sent = Buffer.alloc(0);
  const socket = new PeerSocket((bytes) => {
    sent = Buffer.concat([sent, bytes]);
  });
  const server = http2.createServer();
  server.on('sessionError', () => undefined);
  server.on('stream', (stream, headers) => {
    stream.on('error', () => undefined);
    if (stream.id !== undefined) seen.set(stream.id, headers);
  });
  server.emit('connection', socket);
  const frames = blocks.map((block, index) => frame(Type.HEADERS, END_HEADERS | END_STREAM, 2 * index + 1, block));
  socket.receive(
    Buffer.concat([PREFACE, frame(Type.SETTINGS, 0, 0), ...frames, frame(Type.PING, 0, 0, Buffer.alloc(8))]),
  );
  const isDone = (): boolean =>
    framesOf(sent).some(({ type, flags }) => type === Type.GOAWAY || (type === Type.PING && flags === 1));
  for (let turns = 0; turns < 200 && !isDone(); turns++) await turn();
  assert.ok(isDone(), 'Node does not answer');
  // Node reports its findings in a later turn.
  for (let turns = 0; turns < 3; turns++) await turn();
  const compressionError = framesOf(sent).some(
    (each) => each.type === Type.GOAWAY && errorOf(each).code === COMPRESSION_ERROR,
  );
  socket.destroy();
  return { seen, compressionError };
}
