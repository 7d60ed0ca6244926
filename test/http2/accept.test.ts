/** Connections that another listener has accepted: several servers share a port, each with a listener of its own. */

import { once } from 'node:events';
import fs from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import { Client, credentials, Metadata, status } from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import type { Method, UnaryCall } from '../../src/gateway/accept/call.ts';
import { type Http2Options, http2Listener } from '../../src/gateway/accept/grpc/http2-transport.ts';
import type { Http2Server } from '../../src/http2/server.ts';
import { TlsIdentity } from '../../src/http2/tls-identity.ts';
import { RawClient } from '../gateway/accept/raw-client.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { TRANSPORT_OPTIONS } from '../support/transport-options.ts';
import { hasOpenssl, makeAuthority, makeCertificate } from './certificates.ts';

/** A server, and a listener beside it that shares its port with others. */
interface Front {
  readonly server: Http2Server;
  readonly listener: net.Server;
  readonly port: number;
  accepted: number;
}

const fronts: Front[] = [];

/** @param port 0 takes a free one */
async function front(port: number, method: Method, options: Http2Options = {}): Promise<Front> {
  const server = await http2Listener(options)(TRANSPORT_OPTIONS, new Map([['/t/Method', method]]));
  const listener = net.createServer((socket) => {
    started.accepted++;
    server.accept(socket);
  });
  listener.listen({ host: '127.0.0.1', port, reusePort: true });
  await once(listener, 'listening');
  const started: Front = { server, listener, port: (listener.address() as AddressInfo).port, accepted: 0 };
  fronts.push(started);
  return started;
}

afterEach(async () => {
  for (const { server, listener } of fronts.splice(0)) {
    listener.close();
    await server.drain(0);
  }
});

function nameOf(name: string): Method {
  return { kind: 'unary', handle: (call) => call.reply([Buffer.from(name)]) };
}

describe('accepted connections', () => {
  test('on one port go to several servers, and each call is answered by one of them', async () => {
    const first = await front(0, nameOf('first'));
    const second = await front(first.port, nameOf('second'));
    const clients = Array.from({ length: 40 }, () => new RawClient(first.port));
    const outcomes = await Promise.all(clients.map((client) => client.unary('/t/Method', Buffer.alloc(0))));
    for (const client of clients) client.close();
    expect(outcomes.map((outcome) => outcome.status)).toEqual(Array(40).fill('OK'));
    const answers = outcomes.map(({ message }) => String(message));
    // The system deals connections out by a hash of their addresses.
    expect(first.accepted).toBeGreaterThan(0);
    expect(second.accepted).toBeGreaterThan(0);
    expect(answers.filter((answer) => answer === 'first')).toHaveLength(first.accepted);
    expect(answers.filter((answer) => answer === 'second')).toHaveLength(second.accepted);
  });

  test('are waited for by a drain, and their calls answered', async () => {
    const started = Promise.withResolvers<UnaryCall>();
    const { server, port, listener } = await front(0, { kind: 'unary', handle: started.resolve });
    const client = new RawClient(port);
    const outcome = client.unary('/t/Method', Buffer.alloc(0));
    const call = await started.promise;
    listener.close();
    let drained = false;
    const drain = server.drain(20_000).then(() => {
      drained = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(drained).toBe(false);
    call.reply([Buffer.from('after all')]);
    expect(await outcome).toMatchObject({ status: 'OK', message: Buffer.from('after all') });
    await drain;
    client.close();
  });

  test('count in the limit of connections', async () => {
    const { port } = await front(0, nameOf('one'), { limits: { maxConnections: 1 } });
    const first = new RawClient(port);
    expect((await first.unary('/t/Method', Buffer.alloc(0))).status).toBe('OK');
    const second = new RawClient(port);
    expect((await second.unary('/t/Method', Buffer.alloc(0), { timeoutMs: 2_000 })).status).not.toBe('OK');
    first.close();
    second.close();
  });

  test.skipIf(!hasOpenssl())('have their TLS handshake with the server', async () => {
    const directory = temporaryDirectory();
    const root = makeAuthority(directory, 'root');
    const tls = await TlsIdentity.load(makeCertificate(directory, 'server', root));
    const { port } = await front(0, nameOf('over TLS'), { tls });
    const client = new Client(`localhost:${port}`, credentials.createSsl(fs.readFileSync(root.certificate)));
    const asIs = (bytes: Buffer): Buffer => bytes;
    const answer = await new Promise<string>((resolve) => {
      client.makeUnaryRequest('/t/Method', asIs, asIs, Buffer.alloc(0), new Metadata(), {}, (error, message) =>
        resolve(error === null ? String(message) : `${status[error.code]}: ${error.details}`),
      );
    });
    client.close();
    expect(answer).toBe('over TLS');
  });
});
