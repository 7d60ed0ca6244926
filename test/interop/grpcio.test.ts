/** grpcio, which is the C++ core of gRPC: every kind of call, deadlines, cancellation, large messages, compression. */

import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Method, Routes, StreamingCall, Trailers, Transport, UnaryCall } from '../../src/gateway/accept/call.ts';
import { Status, type StatusCode } from '../../src/gateway/errors.ts';
import { output } from '../support/run-program.ts';
import type { Message } from '../support/stock-client.ts';
import { pythonWithTritonClient } from '../tools/tools.ts';
import { OPTIONS, TRANSPORTS } from './transports.ts';

const JUDGE = fileURLToPath(new URL('grpcio_judge.py', import.meta.url));
const MIB = 1024 * 1024;
const python = pythonWithTritonClient();
if (python === undefined) console.warn('SKIPPED: no Python has tritonclient (test/tools/setup.sh installs it)');

describe.skipIf(python === undefined).each(TRANSPORTS)('grpcio, over $name,', ({ listen }) => {
  let transport: Transport;
  let judged: Message;

  beforeAll(async () => {
    transport = await listen(OPTIONS, routes());
    judged = JSON.parse(await output(python ?? '', [JUDGE, `127.0.0.1:${transport.port}`]));
  });

  afterAll(() => transport.drain(1_000));

  test('sends and gets messages of every size', () => {
    expect(Object.values(judged['unary_of_every_size'])).toEqual(Array(9).fill(true));
    expect(judged['too_large']).toEqual(['RESOURCE_EXHAUSTED', 'after']);
    expect(judged['many_at_a_time']).toBe(true);
  });

  test('reads every status, and its text', () => {
    const names = Object.keys(Status).filter((name) => name !== 'OK');
    expect(judged['every_status']).toHaveLength(16);
    expect(judged['every_status']).toEqual(expect.arrayContaining(names.map((name) => [name, `größer 100 % ${name}`])));
    expect(judged['unknown_method']).toEqual(['UNIMPLEMENTED', expect.any(String)]);
  });

  test('sends metadata, and gets trailers, as text and as bytes', () => {
    // If a key comes more than once, the first value counts.
    expect(judged['metadata']).toMatchObject({
      'x-text': 'as it is',
      'x-bytes-bin': Array.from({ length: 256 }, (_, byte) => byte),
      'x-many': expect.stringMatching(/^1/),
      'x-many-bin': [0, 1],
    });
  });

  test('streams in both directions', () => {
    expect(judged['client_streaming']).toBe((999 * 1_000) / 2);
    expect(judged['large_client_streaming']).toBe(64 * MIB);
    expect(judged['server_streaming']).toBe(true);
    expect(judged['slow_reader']).toBe(true);
    expect(judged['ping_pong']).toBe(true);
    expect(judged['empty_stream']).toEqual([]);
  });

  test('misses its deadlines, and the server knows', () => {
    expect(judged['deadlines']).toEqual(['DEADLINE_EXCEEDED', 'deadline', 'DEADLINE_EXCEEDED']);
  });

  test('cancels, and the server knows', () => {
    expect(judged['cancellation']).toEqual(['CANCELLED', 'client', 'CANCELLED']);
  });

  test('compresses what it sends, in calls and in streams', () => {
    const answered = [true, 30 * 100_000, true];
    expect(judged['compression']).toEqual({ gzip: answered, deflate: answered, none: answered });
    expect(judged['compressed_bomb']).toBe('RESOURCE_EXHAUSTED');
  });

  test('does the same with coroutines', () => {
    expect(judged['coroutines']).toEqual([true, true, 'OK', 'CANCELLED', 'client']);
  });
});

/** What the judge calls. */
function routes(): Routes {
  /** By the message of a call of `Never`: that it was started, and then why it ended. */
  const reasons = new Map<string, string>();
  const methods: Readonly<Record<string, Method>> = {
    Echo: { kind: 'unary', handle: (call) => call.reply([call.message], echoed(call)) },
    Fail: {
      kind: 'unary',
      handle: (call) => call.fail((call.message[0] ?? 0) as StatusCode, textOf(call.message.subarray(1))),
    },
    Never: {
      kind: 'unary',
      handle(call) {
        const name = textOf(call.message);
        reasons.set(`started ${name}`, 'yes');
        call.onCancel = (reason) => reasons.set(name, reason);
      },
    },
    Ends: { kind: 'unary', handle: (call) => call.reply([Buffer.from(reasons.get(textOf(call.message)) ?? '')]) },
    Total: {
      kind: 'streaming',
      handle(call) {
        let total = 0;
        call.onMessage = (message) => {
          total += message.length;
        };
        call.onEnd = () => {
          call.write([Buffer.from(String(total))]);
          call.end();
        };
      },
    },
    Count: {
      kind: 'streaming',
      handle(call) {
        call.onMessage = (message) => {
          const [count = 0, size = 0] = textOf(message).split(' ').map(Number);
          writeAll(call, count, Buffer.alloc(size));
        };
      },
    },
    Chat: {
      kind: 'streaming',
      handle(call) {
        call.onMessage = (message) => {
          if (!call.write([message])) call.pause();
        };
        call.onDrain = () => call.resume();
        call.onEnd = () => call.end();
      },
    },
  };
  return new Map(Object.entries(methods).map(([name, method]) => [`/judge.Service/${name}`, method]));
}

function writeAll(call: StreamingCall, count: number, message: Buffer): void {
  let written = 0;
  const write = (): void => {
    while (written < count) {
      written++;
      if (!call.write([message])) return;
    }
    call.end();
  };
  call.onDrain = write;
  write();
}

function echoed(call: UnaryCall): Trailers {
  const own = [...call.keys()].filter((key) => key.startsWith('x-'));
  return Object.fromEntries(own.map((key) => [key, call.get(key) ?? '']));
}

function textOf(message: Uint8Array): string {
  return Buffer.from(message).toString();
}
