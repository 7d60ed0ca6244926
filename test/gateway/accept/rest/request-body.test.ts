import { createServer, type IncomingMessage, type Server, request as send } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { deflateSync, gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { BodyBudget, BodyCharge } from '../../../../src/gateway/accept/rest/body-budget.ts';
import { readBody } from '../../../../src/gateway/accept/rest/request-body.ts';
import { Slices } from '../../../../src/gateway/accept/slices.ts';
import { InferError } from '../../../../src/gateway/errors.ts';

const MIB = 2 ** 20;
const LIMIT = { maxBytes: 4 * MIB, setting: 'maxJsonBytes' };

let server: Server;
let limit = LIMIT;
let budget: BodyBudget;
let taken: number;
/** What `readBody` made of the last request. */
let outcome: Promise<Buffer | InferError>;
let settle: (body: Buffer | InferError) => void;

async function read(request: IncomingMessage): Promise<Buffer | InferError> {
  const charge = new BodyCharge(budget);
  const counted: Pick<BodyCharge, 'take'> = {
    take(bytes) {
      charge.take(bytes);
      taken += bytes;
    },
  };
  try {
    return await readBody(request, limit, counted, new Slices());
  } catch (error) {
    if (error instanceof InferError) return error;
    throw error;
  } finally {
    charge[Symbol.dispose]();
  }
}

beforeEach(async () => {
  limit = LIMIT;
  taken = 0;
  budget = new BodyBudget(64 * MIB);
  const { promise, resolve } = Promise.withResolvers<Buffer | InferError>();
  outcome = promise;
  settle = resolve;
  server = createServer(async (request, response) => {
    const body = await read(request);
    settle(body);
    response.writeHead(body instanceof InferError ? 400 : 200, { connection: 'close' });
    response.end(body instanceof InferError ? body.reason : String(body.byteLength));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
});

afterEach(() => server.close());

/** @returns the text of the answer */
function post(body: Uint8Array, headers: Record<string, string | number> = {}): Promise<string> {
  const { port } = server.address() as AddressInfo;
  return new Promise((resolve, reject) => {
    const request = send({ port, method: 'POST', headers }, async (response) => {
      let text = '';
      for await (const chunk of response.setEncoding('utf8')) text += chunk;
      resolve(text);
    });
    request.on('error', reject);
    request.end(body);
  });
}

describe('a body', () => {
  test.each([0, 1, 1_000, 70_000, 3 * MIB])('with %i bytes is read whole, and charged', async (bytes) => {
    const body = Buffer.alloc(bytes, 'abc');
    await post(body, { 'content-length': bytes });
    expect(Buffer.compare((await outcome) as Buffer, body)).toBe(0);
    expect(taken).toBe(bytes);
  });

  test('that comes in many small chunks is read whole', async () => {
    const { port } = server.address() as AddressInfo;
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    const body = Buffer.from(Array.from({ length: 5_000 }, (_, index) => index % 256));
    socket.write('POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n');
    for (let at = 0; at < body.length; ) {
      const chunk = body.subarray(at, at + 1 + (at % 9));
      socket.write(Buffer.concat([Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from('\r\n')]));
      at += chunk.length;
    }
    socket.write('0\r\n\r\n');
    expect(Buffer.compare((await outcome) as Buffer, body)).toBe(0);
    socket.destroy();
  });

  test.each([
    ['gzip', gzipSync],
    ['x-gzip', gzipSync],
    ['deflate', deflateSync],
  ])('in %s is inflated, and charged with what it inflates to', async (encoding, compress) => {
    const body = Buffer.from(Array.from({ length: 100_000 }, (_, index) => index % 251));
    await post(compress(body), { 'content-encoding': encoding });
    expect(Buffer.compare((await outcome) as Buffer, body)).toBe(0);
    expect(taken).toBe(body.byteLength);
  });

  test('is refused as soon as its length says that it is too long', async () => {
    expect(await post(Buffer.alloc(LIMIT.maxBytes + 1))).toBe('limit_exceeded');
    expect(await outcome).toMatchObject({ message: 'the body is longer than 4194304 bytes (maxJsonBytes)' });
    expect(taken).toBe(0);
  });

  test('is refused as soon as it is too long where its length is not known', async () => {
    await post(gzipSync(Buffer.alloc(LIMIT.maxBytes + 1, 'abcdefgh')), { 'content-encoding': 'gzip' });
    expect(await outcome).toMatchObject({ reason: 'limit_exceeded' });
    expect(taken).toBeLessThanOrEqual(LIMIT.maxBytes);
  });

  test('that inflates to a hundred times its bytes and more than 8 MiB is refused before it is inflated', async () => {
    limit = { ...LIMIT, maxBytes: 64 * MIB };
    const bomb = gzipSync(Buffer.alloc(60 * MIB, '1,'));
    expect(await post(bomb, { 'content-encoding': 'gzip' })).toBe('limit_exceeded');
    expect(await outcome).toMatchObject({ message: expect.stringMatching(/more than 100 times as many/) });
    expect(taken).toBeLessThan(10 * MIB);
  });

  test('with zeros, which compress to a thousandth, is taken up to 8 MiB', async () => {
    limit = { ...LIMIT, maxBytes: 64 * MIB };
    expect(await post(gzipSync(Buffer.alloc(8 * MIB)), { 'content-encoding': 'gzip' })).toBe(String(8 * MIB));
  });

  test.each(['identity', 'gzip'])(
    'in %s that the budget has no room for is refused, and gives its room back',
    async (encoding) => {
      budget = new BodyBudget(MIB);
      const noise = Buffer.from(Array.from({ length: 2 * MIB }, (_, index) => (index * 7_919) % 256));
      const body = encoding === 'gzip' ? gzipSync(noise) : noise;
      expect(await post(body, { 'content-encoding': encoding, 'transfer-encoding': 'chunked' })).toBe('queue_full');
      expect(await outcome).toMatchObject({ pushback: 1_000, message: expect.stringContaining('maxInFlightBytes') });
      budget.take(MIB / 2, MIB);
    },
  );

  test('that is small still has room where large ones have none', async () => {
    budget = new BodyBudget(MIB);
    budget.take(MIB * (15 / 16), MIB);
    expect(await post(Buffer.alloc(1_000))).toBe('1000');
    const { promise, resolve } = Promise.withResolvers<Buffer | InferError>();
    settle = resolve;
    expect(await post(Buffer.alloc(100_000))).toBe('queue_full');
    expect(await promise).toMatchObject({ reason: 'queue_full' });
  });

  test.each([
    ['br', 'unimplemented', /'br' is not offered/],
    ['gzip', 'invalid_request', /the body is not gzip/],
  ])('that is no %s is refused', async (encoding, reason, message) => {
    await post(Buffer.from('x'), { 'content-encoding': encoding });
    expect(await outcome).toMatchObject({ reason, message: expect.stringMatching(message) });
  });

  test.each(['identity', 'gzip'])('in %s whose caller goes away ends with that', async (encoding) => {
    const { port } = server.address() as AddressInfo;
    const request = send({ port, method: 'POST', headers: { 'content-encoding': encoding } }).on('error', () => {});
    request.write(gzipSync('abc').subarray(0, 5));
    server.once('request', () => request.destroy());
    expect(await outcome).toMatchObject({ reason: 'cancelled' });
  });
});
