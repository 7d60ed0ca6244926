import { once } from 'node:events';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Transport } from '../../../src/gateway/accept/call.ts';
import { listenGrpcJs } from '../../../src/gateway/accept/grpc-js-transport.ts';
import { Health } from '../../../src/gateway/accept/health-service.ts';
import { TRANSPORT_OPTIONS } from '../../support/transport-options.ts';
import { collect, RawClient } from './raw-client.ts';
import { loadService, ReferenceClient } from './reference-service.ts';

const SERVICE = loadService('health.proto', 'grpc.health.v1.Health');
const WATCH = '/grpc.health.v1.Health/Watch';
const method = SERVICE['Watch']!;

describe('Health', () => {
  let health: Health;
  let transport: Transport;
  let raw: RawClient;
  let client: ReferenceClient;

  beforeEach(async () => {
    health = new Health();
    transport = await listenGrpcJs(TRANSPORT_OPTIONS, health.routes);
    raw = new RawClient(transport.port);
    client = new ReferenceClient(raw, SERVICE);
  });

  afterEach(async () => {
    raw.close();
    await transport.drain(0);
  });

  test('Check answers each name by itself, and NOT_FOUND for an unknown one', async () => {
    health.set('', 'SERVING');
    health.set('cifar10', 'NOT_SERVING');
    expect(await client.call('Check')).toMatchObject({ status: 'OK', message: { status: 'SERVING' } });
    expect(await client.call('Check', { service: 'cifar10' })).toMatchObject({ message: { status: 'NOT_SERVING' } });
    expect(await client.call('Check', { service: 'nope' })).toMatchObject({
      status: 'NOT_FOUND',
      text: "unknown service 'nope'",
    });
    health.delete('cifar10');
    expect(await client.call('Check', { service: 'cifar10' })).toMatchObject({ status: 'NOT_FOUND' });
  });

  test('List answers all names, more than a hundred too', async () => {
    const names = Array.from({ length: 150 }, (_, index) => `model ${index}`);
    for (const name of names) health.set(name, 'SERVING');
    const { message } = await client.call('List');
    expect(Object.keys(message?.['statuses'] ?? {})).toEqual(names);
    expect(message?.['statuses']).toMatchObject({ 'model 149': { status: 'SERVING' } });
  });

  test('Watch answers SERVICE_UNKNOWN for a name that is longer than any, and goes on', async () => {
    const next = watch('x'.repeat(3_000));
    expect(await next()).toBe('SERVICE_UNKNOWN');
    health.set('y'.repeat(200), 'SERVING');
    expect(await watch('y'.repeat(200))()).toBe('SERVING');
  });

  test('Watch reports the status now, and each time it changes', async () => {
    health.set('cifar10', 'NOT_SERVING');
    const next = watch('cifar10');
    expect(await next()).toBe('NOT_SERVING');
    health.set('cifar10', 'SERVING');
    expect(await next()).toBe('SERVING');
    health.set('cifar10', 'SERVING');
    health.set('another', 'SERVING');
    health.delete('cifar10');
    expect(await next()).toBe('SERVICE_UNKNOWN');
  });

  test('Watch waits for a name that is not known yet', async () => {
    const next = watch('later');
    expect(await next()).toBe('SERVICE_UNKNOWN');
    health.set('later', 'SERVING');
    expect(await next()).toBe('SERVING');
  });

  test('endWatches reports the last status and ends the streams, so that a drain does not wait for them', async () => {
    health.set('', 'SERVING');
    const stream = raw.stream(WATCH);
    const outcome = collect(stream);
    stream.end(request(''));
    await once(stream, 'data');
    health.set('', 'NOT_SERVING');
    health.endWatches();
    const startedAt = performance.now();
    await transport.drain(20_000);
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    const { status, messages } = await outcome;
    expect(status).toBe('OK');
    expect(messages.map(statusOf)).toEqual(['SERVING', 'NOT_SERVING']);
  });

  test('a cancelled watcher is forgotten, and the others are notified', async () => {
    const gone = raw.stream(WATCH);
    const outcome = collect(gone);
    gone.write(request('cifar10'));
    await once(gone, 'data');
    const next = watch('cifar10');
    expect(await next()).toBe('SERVICE_UNKNOWN');
    gone.cancel();
    expect((await outcome).status).toBe('CANCELLED');
    health.set('cifar10', 'SERVING');
    expect(await next()).toBe('SERVING');
  });

  test('a Watch without a request, or with two, is refused', async () => {
    expect(await client.stream('Watch', [])).toMatchObject({ status: 'INTERNAL' });
    expect(await client.stream('Watch', [{ service: 'a' }, { service: 'b' }])).toMatchObject({ status: 'INTERNAL' });
  });

  /** @returns a function that waits for the next status */
  function watch(name: string): () => Promise<string> {
    const stream: ClientDuplexStream<Buffer, Buffer> = raw.stream(WATCH);
    stream.on('error', () => undefined);
    stream.end(request(name));
    const messages = stream[Symbol.asyncIterator]();
    return async () => statusOf((await messages.next()).value);
  }
});

function request(service: string): Buffer {
  return method.requestSerialize({ service });
}

function statusOf(message: Buffer): string {
  return (method.responseDeserialize(message) as { status: string }).status;
}
