/** What streams hold that stay open for as long as their clients like is in the budget of their connection. */

import { describe, expect, test } from 'vitest';
import type { Routes } from '../../../src/gateway/accept/call.ts';
import { Health } from '../../../src/gateway/accept/health-service.ts';
import { LoadReports } from '../../../src/gateway/accept/load-reports.ts';
import { OpenRca } from '../../../src/gateway/accept/open-rca-service.ts';
import { reflectionRoutes } from '../../../src/gateway/accept/reflection-service.ts';
import { streamInferMethod } from '../../../src/gateway/accept/stream-infer.ts';
import { MemoryConnection, NOTHING_HELD } from '../../http2/memory-connection.ts';
import { frame, grpcMessage, PREFACE, request, Type, uint32 } from '../../http2/raw-frames.ts';
import { collectGarbage } from '../../support/collect-garbage.ts';

const STREAMS = 5_000;
const WATCH = '/grpc.health.v1.Health/Watch';

/** A field with a length (protobuf, wire type 2). */
function text(field: number, value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from([field * 8 + 2, (bytes.length & 127) | 128, bytes.length >> 7]), bytes]);
}

const health = new Health();
const orca = new OpenRca(
  new LoadReports('always', { report: { applicationUtilization: 0.5, rpsFractional: 1, eps: 0 } }),
);
const ROUTES: Routes = new Map([
  ...health.routes,
  ...orca.routes,
  ...reflectionRoutes(),
  ['/t/Infer', streamInferMethod(() => new Promise(() => undefined))],
]);

function connect(): MemoryConnection {
  const memory = new MemoryConnection(Object.fromEntries(ROUTES), { maxConcurrentStreams: STREAMS });
  memory.push(Buffer.concat([PREFACE, frame(Type.SETTINGS, 0, 0)]));
  memory.push(frame(Type.WINDOW_UPDATE, 0, 0, uint32(2 ** 30)));
  return memory;
}

const STREAMS_OF: [what: string, path: string, messageOf: (index: number) => Buffer | undefined][] = [
  ['Watch of a name that is unknown', WATCH, (index) => text(1, `model-${index}-${'x'.repeat(200)}`)],
  ['Watch of a name that is too long to be one', WATCH, (index) => text(1, `${index}-${'x'.repeat(3_900)}`)],
  ['StreamCoreMetrics', '/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics', () => Buffer.alloc(0)],
  [
    'reflection',
    '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
    (index) => text(7, `${index}-${'x'.repeat(300)}`),
  ],
  ['ModelStreamInfer without a request', '/t/Infer', () => undefined],
];

describe.each(STREAMS_OF)('%s', (_, path, messageOf) => {
  test('holds no more memory than is charged for it, and gives it back', () => {
    const open = (memory: MemoryConnection): void => {
      for (let index = 0; index < STREAMS; index++) {
        const id = 2 * index + 1;
        memory.push(request(id, path));
        const message = messageOf(index);
        if (message !== undefined) memory.push(frame(Type.DATA, 0, id, grpcMessage(message)));
      }
      expect(memory.connection.streams.size).toBe(STREAMS);
      memory.socket.writes.length = 0;
    };
    const held = (): number => {
      collectGarbage();
      const { heapUsed, arrayBuffers } = process.memoryUsage();
      return heapUsed + arrayBuffers;
    };
    // Code that is compiled on the way is not the stream's.
    const first = connect();
    open(first);
    first.close();
    const memory = connect();
    const before = held();
    open(memory);
    expect((held() - before) / STREAMS).toBeLessThan(memory.incoming.used / STREAMS);
    memory.close();
    expect(memory.held).toEqual(NOTHING_HELD);
    expect((held() - before) / STREAMS).toBeLessThan(200);
  });
});

describe('messages on very many streams at once', () => {
  test('a status that changes reaches all watchers, a thousand in a turn of the event loop', async () => {
    const memory = connect();
    for (let index = 0; index < STREAMS; index++) {
      const id = 2 * index + 1;
      memory.push(request(id, WATCH));
      memory.push(frame(Type.DATA, 0, id, grpcMessage(text(1, 'model'))));
    }
    const messages = (): number => memory.frames.filter(({ type }) => type === Type.DATA).length;
    expect(messages()).toBe(STREAMS);
    health.set('model', 'SERVING');
    const seen: number[] = [];
    while (messages() < 2 * STREAMS) {
      await new Promise(setImmediate);
      memory.connection.flush();
      seen.push(messages() - STREAMS);
    }
    expect(seen.length).toBeGreaterThan(STREAMS / 1_000 - 2);
    health.endWatches();
    while (memory.connection.streams.size > 0) {
      await new Promise(setImmediate);
      memory.connection.flush();
    }
    // The requests have not ended: the server resets what it has answered.
    expect(memory.statuses.size).toBe(STREAMS);
    health.delete('model');
    memory.close();
    expect(memory.held).toEqual(NOTHING_HELD);
  });
});
