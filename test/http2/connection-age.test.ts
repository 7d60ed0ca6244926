/** How connections of well-behaved peers end: by age and after a grace period. A silent peer that answers PING keeps its connection. */

import { afterEach, describe, expect, test } from 'vitest';
import type { Method, Transport, UnaryCall } from '../../src/gateway/accept/call.ts';
import { http2Listener } from '../../src/gateway/accept/grpc/http2-transport.ts';
import type { Http2Limits } from '../../src/http2/limits.ts';
import { RawClient } from '../gateway/accept/raw-client.ts';
import { TRANSPORT_OPTIONS } from '../support/transport-options.ts';
import { MemoryConnection, NOTHING_HELD } from './memory-connection.ts';
import { ACK, END_STREAM, frame, HELLO, Type, unaryRequest } from './raw-frames.ts';

let transport: Transport | undefined;

afterEach(() => transport?.drain(0));

async function serve(method: Method, limits: Partial<Http2Limits>): Promise<number> {
  transport = await http2Listener({ limits })(TRANSPORT_OPTIONS, new Map([['/t/Method', method]]));
  return transport.port;
}

describe('age', () => {
  test('is invisible to clients under load: connections are renewed, and no call fails', async () => {
    const addresses = new Set<string>();
    const port = await serve(
      {
        kind: 'unary',
        handle(call) {
          addresses.add(call.peer?.address ?? '');
          setTimeout(() => call.reply([call.message]), 3);
        },
      },
      { maxAgeMs: 300 },
    );
    // As clients are: a call that Node has not sent yet when GOAWAY comes is sent again, on the next connection.
    const clients = Array.from({ length: 4 }, () => new RawClient(port, { 'grpc.enable_retries': 1 }));
    const statuses = new Map<string, number>();
    const end = performance.now() + 4_000;
    await Promise.all(
      clients.flatMap((client) =>
        Array.from({ length: 8 }, async () => {
          while (performance.now() < end) {
            const { status } = await client.unary('/t/Method', Buffer.alloc(100));
            statuses.set(status, (statuses.get(status) ?? 0) + 1);
          }
        }),
      ),
    );
    for (const client of clients) client.close();
    expect([...statuses.keys()]).toEqual(['OK']);
    // They are looked at once a second.
    expect(addresses.size).toBeGreaterThanOrEqual(2 * clients.length);
  });

  test('gives calls its grace, and then answers them with UNAVAILABLE', async () => {
    const calls: UnaryCall[] = [];
    const reasons: string[] = [];
    const memory = new MemoryConnection(
      {
        '/t/Never': {
          kind: 'unary',
          handle(call) {
            calls.push(call);
            call.onCancel = (reason) => reasons.push(reason);
          },
        },
      },
      { limits: { maxAgeMs: 1_000, ageGraceMs: 5_000 } },
    );
    memory.push(HELLO);
    memory.push(unaryRequest(1, '/t/Never'));
    const tick = (milliseconds: number): void => {
      memory.now += milliseconds;
      // It is not silent.
      memory.push(frame(Type.PING, 0, 0, Buffer.alloc(8)));
      memory.connection.upkeep();
      memory.connection.flush();
    };
    tick(1_200);
    expect(memory.frames.filter(({ type }) => type === Type.GOAWAY)).toHaveLength(1);
    tick(4_900);
    expect(reasons).toEqual([]);
    tick(200);
    expect(reasons).toEqual(['connection']);
    const end = memory.frames.find(({ type, id, flags }) => type === Type.HEADERS && id === 1 && flags & END_STREAM);
    expect(end?.payload.toString('latin1')).toContain('grpc-status\x0214');
    memory.push(frame(Type.PING, ACK, 0, Buffer.from('tensorgt')));
    memory.connection.flush();
    expect(memory.socket.writableEnded).toBe(true);
    expect(memory.held).toEqual(NOTHING_HELD);
  });

  test('does not wait for a client that says nothing after the grace', () => {
    const memory = new MemoryConnection({}, { limits: { maxAgeMs: 1_000, ageGraceMs: 5_000 } });
    memory.push(HELLO);
    for (let second = 0; second < 90 && !memory.socket.destroyed; second++) {
      memory.now += 1_000;
      memory.connection.upkeep();
    }
    expect(memory.socket.destroyed).toBe(true);
  });
});

describe('keepalive', () => {
  test('keeps a peer that answers, however long nothing is asked', async () => {
    const addresses = new Set<string>();
    const port = await serve(
      {
        kind: 'unary',
        handle(call) {
          addresses.add(call.peer?.address ?? '');
          call.reply([]);
        },
      },
      { keepaliveMs: 200, keepaliveTimeoutMs: 900 },
    );
    const client = new RawClient(port);
    expect((await client.unary('/t/Method', Buffer.alloc(0))).status).toBe('OK');
    await new Promise((resolve) => setTimeout(resolve, 4_500));
    expect((await client.unary('/t/Method', Buffer.alloc(0))).status).toBe('OK');
    client.close();
    expect(addresses.size).toBe(1);
  });
});
