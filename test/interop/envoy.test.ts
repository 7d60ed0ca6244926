/** Envoy, which is what a mesh puts before every server: calls through it, its retries, its deadlines, and how servers go. */

import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Call, CancelReason, Listen, Method, Transport } from '../../src/gateway/accept/call.ts';
import { failWith } from '../../src/gateway/accept/failure.ts';
import { http2Listener } from '../../src/gateway/accept/grpc/http2-transport.ts';
import { InferError } from '../../src/gateway/errors.ts';
import { TlsIdentity } from '../../src/http2/tls-identity.ts';
import { collect, RawClient } from '../gateway/accept/raw-client.ts';
import { type Certificate, hasOpenssl, makeAuthority, makeCertificate } from '../http2/certificates.ts';
import { envoy } from '../tools/tools.ts';
import { type EnvoyOptions, EnvoyProcess } from './envoy-process.ts';
import { OPTIONS, TRANSPORTS } from './transports.ts';

const UNARY = '/test.Service/Unary';
const STREAM = '/test.Service/Stream';
const NOTHING = new Uint8Array(0);
/** Envoy retries these: calls that no server has begun. */
const UNBEGUN = 'connect-failure,refused-stream';
const SPIFFE_ID = 'URI:spiffe://cluster.local/ns/test/sa/envoy';

const isInstalled = envoy() !== undefined;
if (!isInstalled) console.warn('SKIPPED: Envoy is not installed (test/tools/setup.sh does)');
const canMake = hasOpenssl();
if (!canMake) console.warn('SKIPPED: openssl is not installed, so there are no certificates');

const echo: Method = { kind: 'unary', handle: (call) => call.reply([call.message]) };

const echoEach: Method = {
  kind: 'streaming',
  handle(call) {
    call.onMessage = (message) => {
      if (!call.write([message])) call.pause();
    };
    call.onDrain = () => call.resume();
    call.onEnd = () => call.end();
  },
};

/** How often Envoy has tried, this time included. */
function attemptOf(call: Call): number {
  return Number(call.get('x-envoy-attempt-count'));
}

/** Started processes, to be ended after the test in reverse. */
const begun: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const end of begun.splice(0).reverse()) await end();
});

async function serve(listen: Listen, unary: Method, stream: Method = echoEach, port = 0): Promise<Transport> {
  const routes = new Map([
    [UNARY, unary],
    [STREAM, stream],
  ]);
  const transport = await listen({ ...OPTIONS, port }, routes);
  begun.push(() => transport.drain(0));
  return transport;
}

async function connect(options: EnvoyOptions): Promise<{ client: RawClient; proxy: EnvoyProcess }> {
  const proxy = await EnvoyProcess.start(options);
  begun.push(() => proxy[Symbol.asyncDispose]());
  const client = new RawClient(proxy.port);
  begun.push(async () => client.close());
  return { client, proxy };
}

/** Messages of all sizes go through, both ways, as single calls and in a stream; so do statuses. */
async function expectToCarry(client: RawClient): Promise<void> {
  for (const size of [0, 1, 70_000, 4 * 1024 * 1024]) {
    const message = randomBytes(size);
    const outcome = await client.unary(UNARY, message);
    expect(outcome.status).toBe('OK');
    expect(outcome.message?.equals(message)).toBe(true);
  }
  const sent = Array.from({ length: 200 }, (_, index) => randomBytes(index * 300));
  const stream = client.stream(STREAM);
  const received = collect(stream);
  for (const message of sent) stream.write(message);
  stream.end();
  expect(await received).toMatchObject({ status: 'OK', messages: sent });
  expect((await client.unary('/test.Service/Nothing', NOTHING)).status).toBe('UNIMPLEMENTED');
}

describe.skipIf(!isInstalled).each(TRANSPORTS)('behind Envoy, the transport $name', ({ listen }) => {
  test('carries calls and streams', async () => {
    const { port } = await serve(listen, echo);
    const { client } = await connect({ ports: [port] });
    await expectToCarry(client);
  });

  test('is tried again where it says UNAVAILABLE', async () => {
    const attempts: number[] = [];
    const { port } = await serve(listen, {
      kind: 'unary',
      handle(call) {
        attempts.push(attemptOf(call));
        if (attempts.length < 3) failWith(call, new InferError('model_not_ready', 'still loading'));
        else call.reply([call.message]);
      },
    });
    const { client } = await connect({ ports: [port], retryOn: 'unavailable' });
    expect(await client.unary(UNARY, Buffer.from('x'))).toMatchObject({ status: 'OK', message: Buffer.from('x') });
    expect(attempts).toEqual([1, 2, 3]);
  });

  test('is not tried again where it is overloaded, and its client is given a time to retry', async () => {
    const attempts: number[] = [];
    const { port } = await serve(listen, {
      kind: 'unary',
      handle(call) {
        attempts.push(attemptOf(call));
        failWith(call, new InferError('queue_full', 'the queue is full: größer', { pushback: 120 }));
      },
    });
    const { client } = await connect({ ports: [port], retryOn: 'unavailable,reset,connect-failure' });
    const { status, text, trailers } = await client.unary(UNARY, NOTHING);
    expect({ status, text }).toEqual({ status: 'RESOURCE_EXHAUSTED', text: 'the queue is full: größer' });
    expect(trailers.get('grpc-retry-pushback-ms')).toEqual(['120']);
    expect(attempts).toEqual([1]);
  });

  test("receives its client's deadline, and ends when it has passed", async () => {
    const left: number[] = [];
    const cancelled = Promise.withResolvers<CancelReason>();
    const { port } = await serve(listen, {
      kind: 'unary',
      handle(call) {
        left.push(call.deadline - performance.now());
        if (call.message.byteLength > 0) call.reply([]);
        else call.onCancel = cancelled.resolve;
      },
    });
    const { client } = await connect({ ports: [port] });
    expect((await client.unary(UNARY, Buffer.from('x'), { timeoutMs: 20_000 })).status).toBe('OK');
    expect((await client.unary(UNARY, NOTHING, { timeoutMs: 500 })).status).toBe('DEADLINE_EXCEEDED');
    // By its own clock, or by Envoy's reset.
    expect(['deadline', 'client']).toContain(await cancelled.promise);
    expect(left[0]).toBeGreaterThan(10_000);
    expect(left[0]).toBeLessThanOrEqual(20_050);
    expect(left[1]).toBeLessThanOrEqual(550);
  });

  test('notices that its client has cancelled, and serves the next on the same connection', async () => {
    const started = Promise.withResolvers<void>();
    const cancelled = Promise.withResolvers<CancelReason>();
    const { port } = await serve(listen, {
      kind: 'unary',
      handle(call) {
        if (call.message.byteLength > 0) return call.reply([call.message]);
        call.onCancel = cancelled.resolve;
        started.resolve();
      },
    });
    const { client, proxy } = await connect({ ports: [port] });
    const abort = new AbortController();
    const outcome = client.unary(UNARY, NOTHING, { signal: abort.signal });
    await started.promise;
    abort.abort();
    expect((await outcome).status).toBe('CANCELLED');
    expect(await cancelled.promise).toBe('client');
    expect((await client.unary(UNARY, Buffer.from('x'))).status).toBe('OK');
    expect(await proxy.statistic('upstream_cx_total')).toBe(1);
  });

  test('loses no call when it drains, without any retry', async () => {
    const waiting: (() => void)[] = [];
    const allStarted = Promise.withResolvers<void>();
    const transport = await serve(listen, {
      kind: 'unary',
      handle(call) {
        waiting.push(() => call.reply([call.message]));
        if (waiting.length === 50) allStarted.resolve();
      },
    });
    const { client, proxy } = await connect({ ports: [transport.port] });
    const messages = Array.from({ length: 50 }, (_, index) => Buffer.from(`call ${index}`));
    const outcomes = Promise.all(messages.map((message) => client.unary(UNARY, message)));
    await allStarted.promise;
    const drained = transport.drain(20_000);
    await expect.poll(() => proxy.statistic('upstream_cx_close_notify')).toBe(1);
    for (const reply of waiting) reply();
    expect((await outcomes).map(({ status, message }) => `${status} ${message}`)).toEqual(
      messages.map((message) => `OK ${message}`),
    );
    await drained;
    expect((await client.unary(UNARY, NOTHING)).status).toBe('UNAVAILABLE');
    // The next server at this address gets the next call.
    await serve(listen, echo, echoEach, transport.port);
    expect((await client.unary(UNARY, NOTHING)).status).toBe('OK');
  });

  test('is restarted while 1,000 calls go to it and another: none fails, and none is begun twice', async () => {
    const begunCalls: string[] = [];
    const slowEcho: Method = {
      kind: 'unary',
      handle(call) {
        begunCalls.push(Buffer.from(call.message).toString());
        setTimeout(() => call.reply([call.message]), 1 + (begunCalls.length % 8));
      },
    };
    const servers = [await serve(listen, slowEcho), await serve(listen, slowEcho)];
    const ports = servers.map(({ port }) => port);
    const { client, proxy } = await connect({ ports, retryOn: UNBEGUN });
    let sent = 0;
    let restarted = false;
    const faults: string[] = [];
    const caller = async (): Promise<void> => {
      while (sent < 1_000 || !restarted) {
        const text = `call ${++sent}`;
        const { status, text: reason, message } = await client.unary(UNARY, Buffer.from(text));
        if (status !== 'OK' || message?.toString() !== text) faults.push(`${text}: ${status} ${reason} ${message}`);
      }
    };
    const callers = Array.from({ length: 16 }, caller);
    const until = async (count: number): Promise<void> => {
      while (begunCalls.length < count) await new Promise(setImmediate);
    };
    for (const [index, server] of servers.entries()) {
      await until(200 + index * 400);
      await server.drain(20_000);
      const answeredAlone = begunCalls.length;
      await until(answeredAlone + 100);
      await serve(listen, slowEcho, echoEach, server.port);
    }
    await until(begunCalls.length + 100);
    restarted = true;
    await Promise.all(callers);
    expect(faults).toEqual([]);
    expect(begunCalls).toHaveLength(sent);
    expect(new Set(begunCalls).size).toBe(sent);
    // It was seen to be away.
    expect(await proxy.statistic('upstream_cx_connect_fail')).toBeGreaterThan(0);
  });
});

describe.skipIf(!isInstalled || !canMake)('behind Envoy, the transport h2 over TLS', () => {
  let directory: string;
  let root: Certificate;
  let server: Certificate;
  let caller: Certificate;

  beforeAll(() => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), 'tensorgate-test-'));
    root = makeAuthority(directory, 'root');
    server = makeCertificate(directory, 'server', root);
    caller = makeCertificate(directory, 'envoy', root, [SPIFFE_ID]);
  });

  afterAll(() => fs.rmSync(directory, { recursive: true }));

  test('carries calls and streams', async () => {
    const { port } = await serve(http2Listener({ tls: await TlsIdentity.load(server) }), echo);
    const { client, proxy } = await connect({ ports: [port], tls: { authority: root.certificate } });
    await expectToCarry(client);
    expect(await proxy.statistic('ssl.handshake')).toBe(1);
  });

  test('knows by its certificate who calls, and lets no one in without one', async () => {
    const names: (readonly string[] | undefined)[] = [];
    const tls = await TlsIdentity.load({ ...server, clientAuthorities: root.certificate });
    const { port } = await serve(http2Listener({ tls }), {
      kind: 'unary',
      handle(call) {
        names.push(call.peer?.certificate?.alternativeNames);
        call.reply([call.message]);
      },
    });
    const authority = root.certificate;
    const { client } = await connect({ ports: [port], tls: { authority, identity: caller } });
    await expectToCarry(client);
    expect(names.length).toBeGreaterThan(0);
    for (const each of names) expect(each).toContain(SPIFFE_ID);

    names.length = 0;
    const stranger = await connect({ ports: [port], tls: { authority } });
    expect((await stranger.client.unary(UNARY, NOTHING)).status).toBe('UNAVAILABLE');
    expect(names).toEqual([]);
  });
});
