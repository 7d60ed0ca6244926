/** What a proxy answers in the server's place: the statuses and texts of the table in docs/mesh.md. */

import { afterEach, describe, expect, test } from 'vitest';
import type { Method, UnaryCall } from '../../src/gateway/accept/call.ts';
import { listenHttp2 } from '../../src/gateway/accept/grpc/http2-transport.ts';
import { RawClient, type UnaryOutcome } from '../gateway/accept/raw-client.ts';
import { envoy } from '../tools/tools.ts';
import { type EnvoyOptions, EnvoyProcess } from './envoy-process.ts';
import { OPTIONS } from './transports.ts';

const INFER = '/inference.GRPCInferenceService/ModelInfer';
const BODY = new Uint8Array(8);

const isInstalled = envoy() !== undefined;
if (!isInstalled) console.warn('SKIPPED: Envoy is not installed (test/tools/setup.sh does)');

/** Started processes, to be ended after the test in reverse. */
const begun: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const end of begun.splice(0).reverse()) await end();
});

/** A client of an Envoy before a server that behaves so. */
async function behind(options: Omit<EnvoyOptions, 'ports'>, handle: (call: UnaryCall) => void): Promise<RawClient> {
  const method: Method = { kind: 'unary', handle };
  const server = await listenHttp2(OPTIONS, new Map([[INFER, method]]));
  begun.push(() => server.drain(0));
  return clientOf({ ...options, ports: [server.port] });
}

async function clientOf(options: EnvoyOptions): Promise<RawClient> {
  const proxy = await EnvoyProcess.start(options);
  begun.push(() => proxy[Symbol.asyncDispose]());
  const client = new RawClient(proxy.port);
  begun.push(async () => client.close());
  return client;
}

describe.skipIf(!isInstalled)('a proxy answers in place of the server', () => {
  const answers = (call: UnaryCall): void => call.reply([call.message]);
  const infer = (client: RawClient): Promise<UnaryOutcome> => client.unary(INFER, BODY);

  test('PERMISSION_DENIED where no policy lets the caller in', async () => {
    const outcome = await infer(await behind({ denies: true }, answers));
    expect(outcome).toMatchObject({ status: 'PERMISSION_DENIED', text: 'RBAC: access denied' });
  });

  test('UNIMPLEMENTED, without a text, where no route matches', async () => {
    const outcome = await infer(await behind({ prefix: '/other' }, answers));
    expect(outcome).toMatchObject({ status: 'UNIMPLEMENTED', text: '' });
  });

  test('UNAVAILABLE where no server can be reached', async () => {
    const outcome = await infer(await clientOf({ ports: [1] }));
    expect(outcome.status).toBe('UNAVAILABLE');
    expect(outcome.text).toMatch(/^upstream connect error or disconnect\/reset before headers/);
  });

  test('UNAVAILABLE where the Service has no pod that is ready', async () => {
    const outcome = await infer(await clientOf({ ports: [] }));
    expect(outcome).toMatchObject({ status: 'UNAVAILABLE', text: 'no healthy upstream' });
  });

  test('UNAVAILABLE where a route has a timeout and it passes', async () => {
    const outcome = await infer(await behind({ timeout: '0.2s' }, () => {}));
    expect(outcome).toMatchObject({ status: 'UNAVAILABLE', text: 'upstream request timeout' });
  });

  test('UNAVAILABLE where more calls are under way than the connection pool takes', async () => {
    const held: UnaryCall[] = [];
    const client = await behind({ maxRequests: 1 }, (call) => {
      held.push(call);
    });
    const first = infer(client);
    await expect.poll(() => held.length).toBe(1);
    const second = await infer(client);
    held[0]?.reply([BODY]);
    expect((await first).status).toBe('OK');
    expect(second.status).toBe('UNAVAILABLE');
    expect(second.text).toMatch(/reset reason: overflow$/);
  });
});
