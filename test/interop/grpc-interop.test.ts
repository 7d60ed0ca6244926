/**
 * gRPC's own interoperability tests (grpc/grpc: doc/interop-test-descriptions.md), by its client in Go and by grpc-js for
 * what that client does not try.
 */

import fs from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Transport } from '../../src/gateway/accept/call.ts';
import { http2Listener } from '../../src/gateway/accept/grpc/http2-transport.ts';
import { TlsIdentity } from '../../src/http2/tls-identity.ts';
import { collect, RawClient } from '../gateway/accept/raw-client.ts';
import { hasOpenssl, makeAuthority, makeCertificate } from '../http2/certificates.ts';
import { type Ended, runProgram } from '../support/run-program.ts';
import { grpcInteropClient } from '../tools/tools.ts';
import {
  FULL_DUPLEX_CALL,
  HALF_DUPLEX_CALL,
  STREAMING_INPUT_CALL,
  STREAMING_OUTPUT_CALL,
  testingRoutes,
  UNARY_CALL,
} from './grpc-testing-service.ts';
import { OPTIONS, TRANSPORTS } from './transports.ts';

const program = grpcInteropClient();
if (program === undefined) console.warn('SKIPPED: the interop client is not installed (test/tools/setup.sh does)');
const canMake = hasOpenssl();
if (!canMake) console.warn('SKIPPED: openssl is not installed, so there are no certificates');

/** All that pass against the client's own server, except `DIFFERENT`; credentials and load reports are no matter here. */
const CASES = [
  'empty_unary',
  'large_unary',
  'client_streaming',
  'server_streaming',
  'ping_pong',
  'empty_stream',
  'timeout_on_sleeping_server',
  'cancel_after_begin',
  'cancel_after_first_response',
  'status_code_and_message',
  'unimplemented_method',
  'unimplemented_service',
  'pick_first_unary',
];

/** Cases that the server fails by design, with the client's error: a change of the design has to look here. */
const DIFFERENT = [
  {
    name: 'custom_metadata',
    why: 'a call has trailers, and no metadata before its answer',
    said: 'Expected exactly one header from server. Received 0',
  },
  {
    name: 'special_status_message',
    why: 'a status has one line, without control characters',
    said: 'desc =  test with whitespace and Unicode BMP ☺ and non-BMP 😈 , want',
  },
];

/** Each on a connection of its own, or all on one. How long one takes is no matter. */
const SOAKS = ['rpc_soak', 'channel_soak'];
const SOAK = [
  ...['-soak_iterations', '200', '-soak_num_threads', '4', '-soak_overall_timeout_seconds', '50'],
  ...['-soak_per_iteration_max_acceptable_latency_ms', '30000'],
];

function runClient(port: number, ...args: readonly string[]): Promise<Ended> {
  return runProgram(program ?? '', ['-server_host', OPTIONS.host, '-server_port', String(port), ...args]);
}

function describeCases(serverOf: () => { port: number; flags?: readonly string[] }): void {
  test.each(CASES)('%s', async (name) => {
    const { port, flags = [] } = serverOf();
    const { code, stderr } = await runClient(port, '-test_case', name, ...flags);
    expect({ code, stderr }).toMatchObject({ code: 0 });
  });

  test.each(SOAKS)('%s', async (name) => {
    const { port, flags = [] } = serverOf();
    const { code, stderr } = await runClient(port, '-test_case', name, ...SOAK, ...flags);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(stderr).toContain('soak test successes: 200 / 200 iterations. Total failures: 0.');
  });

  test.each(DIFFERENT)('not $name: $why', async ({ name, said }) => {
    const { port, flags = [] } = serverOf();
    const { code, stderr } = await runClient(port, '-test_case', name, ...flags);
    expect(stderr).toContain(said);
    expect(code).toBe(1);
  });
}

describe.each(TRANSPORTS)('over $name', ({ listen }) => {
  let transport: Transport;

  beforeAll(async () => {
    transport = await listen(OPTIONS, testingRoutes());
  });

  afterAll(() => transport.drain(1_000));

  describe.skipIf(program === undefined)("gRPC's client passes", () => {
    describeCases(() => ({ port: transport.port }));
  });

  describe('a client in JavaScript', () => {
    const bytes = Buffer.from([0, 1, 254, 255, 10, 171]);
    const metadata = { 'x-grpc-test-echo-initial': 'test', 'x-grpc-test-echo-trailing-bin': bytes };

    test('custom_metadata: a unary call has its trailers back, also where it fails', async () => {
      using client = disposable(new RawClient(transport.port));
      for (const [code, status] of [
        [0, 'OK'],
        [2, 'UNKNOWN'],
      ] as const) {
        const request = { response_size: 1, response_status: { code, message: 'as asked' } };
        const outcome = await client.unary(UNARY_CALL.path, UNARY_CALL.requestSerialize(request), { metadata });
        expect(outcome.status).toBe(status);
        expect(outcome.trailers.get('x-grpc-test-echo-trailing-bin')).toEqual([bytes]);
      }
    });

    test('custom_metadata: a stream has its trailers back', async () => {
      using client = disposable(new RawClient(transport.port));
      const stream = client.stream(FULL_DUPLEX_CALL.path, { metadata });
      const trailers = new Promise((resolve) =>
        stream.on('status', (end) => resolve(end.metadata.get('x-grpc-test-echo-trailing-bin'))),
      );
      const ended = collect(stream);
      stream.write(FULL_DUPLEX_CALL.requestSerialize({ response_parameters: [{ size: 1 }] }));
      stream.end();
      expect(await ended).toMatchObject({ status: 'OK', messages: [{ length: 5 }] });
      expect(await trailers).toEqual([bytes]);
    });

    test.each([
      ['gzip', 2],
      ['deflate', 1],
    ])('client_compressed_unary and _streaming: requests in %s are inflated', async (_, algorithm) => {
      using relay = await CountingRelay.to(transport.port);
      using client = disposable(
        new RawClient(relay.port, { 'grpc.default_compression_algorithm': algorithm as number }),
      );
      const request = { response_size: 314_159, payload: { body: Buffer.alloc(271_828) } };
      const { status, message } = await client.unary(UNARY_CALL.path, UNARY_CALL.requestSerialize(request));
      expect(status).toBe('OK');
      expect(UNARY_CALL.responseDeserialize(message ?? Buffer.alloc(0)).payload.body).toHaveLength(314_159);

      const stream = client.stream(STREAMING_INPUT_CALL.path);
      const ended = collect(stream);
      for (const size of [27_182, 45_904, 100_000]) {
        stream.write(STREAMING_INPUT_CALL.requestSerialize({ payload: { body: Buffer.alloc(size) } }));
      }
      stream.end();
      const { status: streamStatus, messages } = await ended;
      expect(streamStatus).toBe('OK');
      const sums = messages.map((each) => STREAMING_INPUT_CALL.responseDeserialize(each).aggregated_payload_size);
      expect(sums).toEqual([27_182 + 45_904 + 100_000]);
      // 444,914 bytes of zeros were sent as these.
      expect(relay.sentBytes).toBeLessThan(20_000);
    });

    test('half_duplex: answers come after the last request, in order', async () => {
      using client = disposable(new RawClient(transport.port));
      const stream = client.stream(HALF_DUPLEX_CALL.path);
      let halfClosed = false;
      stream.on('data', () => expect(halfClosed).toBe(true));
      const ended = collect(stream);
      for (const sizes of [[31_415, 9], [], [2_653], [58_979, 0]]) {
        const response_parameters = sizes.map((size) => ({ size }));
        stream.write(HALF_DUPLEX_CALL.requestSerialize({ response_parameters }));
        // Another call on the connection: what the server might say too early has come before its answer.
        await client.unary(UNARY_CALL.path, UNARY_CALL.requestSerialize({}));
      }
      halfClosed = true;
      stream.end();
      const { status, messages } = await ended;
      expect(status).toBe('OK');
      expect(sizesOf(messages)).toEqual([31_415, 9, 2_653, 58_979, 0]);
    });

    test('server_streaming: a reader that is slow gets all of 64 MiB', async () => {
      using client = disposable(new RawClient(transport.port));
      const stream = client.stream(STREAMING_OUTPUT_CALL.path);
      const response_parameters = Array.from({ length: 64 }, () => ({ size: 1024 * 1024 }));
      stream.write(STREAMING_OUTPUT_CALL.requestSerialize({ response_parameters }));
      stream.end();
      const status = new Promise((resolve) => stream.on('status', ({ code }) => resolve(code)));
      const sizes: number[] = [];
      for await (const message of stream) {
        sizes.push(...sizesOf([message as Buffer]));
        await client.unary(UNARY_CALL.path, UNARY_CALL.requestSerialize({}));
      }
      expect(sizes).toEqual(response_parameters.map(({ size }) => size));
      expect(await status).toBe(0);
    });
  });
});

describe.skipIf(program === undefined || !canMake)("over h2 with TLS, gRPC's client passes", () => {
  let directory: string;
  let authority: string;
  let transport: Transport;

  beforeAll(async () => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), 'tensorgate-test-'));
    const root = makeAuthority(directory, 'root');
    authority = root.certificate;
    const tls = await TlsIdentity.load(makeCertificate(directory, 'server', root));
    transport = await http2Listener({ tls })(OPTIONS, testingRoutes());
  });

  afterAll(async () => {
    await transport.drain(1_000);
    fs.rmSync(directory, { recursive: true });
  });

  describeCases(() => ({ port: transport.port, flags: ['-use_tls', '-use_test_ca', '-ca_file', authority] }));
});

function sizesOf(messages: readonly Buffer[]): number[] {
  return messages.map((message) => FULL_DUPLEX_CALL.responseDeserialize(message).payload.body.length);
}

function disposable(client: RawClient): RawClient & Disposable {
  return Object.assign(client, { [Symbol.dispose]: () => client.close() });
}

/** Stands between a client and a server, and counts what the client sends. */
class CountingRelay implements Disposable {
  readonly #listener: net.Server;
  sentBytes = 0;

  private constructor(port: number) {
    this.#listener = net.createServer((socket) => {
      const server = net.connect(port, '127.0.0.1');
      socket.on('data', (chunk) => {
        this.sentBytes += chunk.length;
      });
      socket.pipe(server).pipe(socket);
      socket.on('error', () => server.destroy());
      server.on('error', () => socket.destroy());
    });
  }

  static async to(port: number): Promise<CountingRelay> {
    const relay = new CountingRelay(port);
    await new Promise<void>((resolve) => relay.#listener.listen(0, '127.0.0.1', resolve));
    return relay;
  }

  get port(): number {
    return (this.#listener.address() as AddressInfo).port;
  }

  [Symbol.dispose](): void {
    this.#listener.close();
  }
}
