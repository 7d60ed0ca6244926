/** Refusals of calls whose requests are still on their way, as Node's own client sees them. */

import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from 'node:http2';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Method, Transport } from '../../../../src/gateway/accept/call.ts';
import { failWith } from '../../../../src/gateway/accept/failure.ts';
import { http2Listener } from '../../../../src/gateway/accept/grpc/http2-transport.ts';
import { InferError } from '../../../../src/gateway/errors.ts';
import { TRANSPORT_OPTIONS } from '../../../support/transport-options.ts';

const MIB = 1024 * 1024;

const refused: Method = {
  kind: 'unary',
  maxMessageBytes: 4096,
  screen: () => new InferError('control_disabled', 'not here'),
  handle: (call) => failWith(call, new InferError('internal', 'it was called')),
};
const small: Method = { kind: 'unary', maxMessageBytes: 4096, handle: (call) => call.reply([]) };
const watch: Method = { kind: 'streaming', maxMessageBytes: 4096, handle: () => {} };

let transport: Transport;
let session: ClientHttp2Session;

beforeAll(async () => {
  const routes = new Map<string, Method>([
    ['/t/Refused', refused],
    ['/t/Small', small],
    ['/t/Watch', watch],
  ]);
  transport = await http2Listener({})({ ...TRANSPORT_OPTIONS, maxMessageBytes: 64 * MIB }, routes);
  session = connect(`http://127.0.0.1:${transport.port}`);
});

afterAll(async () => {
  session.close();
  await transport.drain(1_000);
});

/** Resolves with the status when the stream has closed, both ways. */
function call(
  path: string,
  bytes: number,
  options: { readonly staysOpen?: boolean } = {},
): Promise<string | undefined> {
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  const message = Buffer.alloc(5 + bytes);
  message.writeUInt32BE(bytes, 1);
  if (options.staysOpen === true) stream.write(message);
  else stream.end(message);
  return new Promise((resolve) => {
    let status: string | undefined;
    const keep = (headers: IncomingHttpHeaders): void => {
      status = headers['grpc-status'] === undefined ? status : String(headers['grpc-status']);
    };
    stream
      .on('response', keep)
      .on('trailers', keep)
      .on('error', () => {});
    stream.resume();
    stream.once('close', () => resolve(status));
  });
}

describe('a client that sends far more than it may', () => {
  test.each([
    { name: 'to a method that its head does not let in', path: '/t/Refused', status: '9' },
    { name: 'to a method with a small limit', path: '/t/Small', status: '8' },
    { name: 'on a stream', path: '/t/Watch', status: '8' },
    { name: 'to a method that is not there', path: '/t/Nothing', status: '12' },
  ])('reads the refusal: $name', async ({ path, status }) => {
    expect(await call(path, 24 * MIB)).toBe(status);
    expect(transport.gauges?.incomingBytes).toBe(0);
  });
});

test('a client that sends nothing more gets the refusal without ending its request', async () => {
  expect(await call('/t/Watch', 5_000, { staysOpen: true })).toBe('8');
});

test('a refused call whose request is whole is answered at once, and the connection goes on', async () => {
  expect(await call('/t/Refused', 10)).toBe('9');
  expect(await call('/t/Small', 10)).toBe('0');
});
