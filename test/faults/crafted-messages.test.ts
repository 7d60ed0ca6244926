/**
 * One message does not stop the others: with any bytes, on any RPC or route, it costs the gateway a bounded time of the
 * event loop and a bounded multiple of its bytes. Other callers are answered meanwhile.
 */

import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CallOptions, collect, RawClient } from '../gateway/accept/raw-client.ts';
import { identityModel } from '../support/onnx-models.ts';
import { Repository } from '../support/repository.ts';
import { type CraftedBody, INFER_BODIES, JSON_BODIES } from './crafted-bodies.ts';
import { type CraftedMessage, craftedMessages, delimited, everyRpc, varint } from './crafted-messages.ts';
import { type Cost, WatchedServer } from './loop-load.ts';
import { tableSlowness } from './table-pace.ts';

const KIB = 1_024;
const MIB = 1_024 * KIB;
/** The limit of messages and of JSON, as it comes; what surrounds the crafted part of a message has room in the rest. */
const LIMIT = 64 * MIB - 64 * KIB;
const SLOWNESS = tableSlowness();
/** Longest block of the event loop, from one tick to the next: a table of millions of keys grows in one piece. */
const MAX_LOOP_MS = 300 * SLOWNESS;
const MAX_P99_MS = 50 * SLOWNESS;
const MAX_GROWTH = 4;
/** What a heap and an allocator keep besides, however small a message is. */
const SLACK_BYTES = 64 * MIB;
/** A message that is read to its end and refused takes a second; a model that is asked for 64 MiB of strings some more. */
const TIMEOUT_MS = 600_000;

const RPCS = everyRpc();
const INFER_PATHS = ['/inference.GRPCInferenceService/ModelInfer', '/inference.GRPCInferenceService/ModelStreamInfer'];
const isInfer = (path: string): boolean => INFER_PATHS.includes(path);

let repository: Repository;
let watched: WatchedServer;
let client: RawClient;

beforeAll(async () => {
  repository = new Repository({
    x: identityModel('FP32', ['batch', 'n']),
    int64: identityModel('INT64', ['batch', 'n']),
    text: identityModel('BYTES', ['batch', 'n']),
  });
  // The most that the server allows: what it refuses by default costs less.
  const flags = ['--model-control-mode', 'explicit', '--load-model', '*', '--allow-model-upload'];
  watched = await WatchedServer.start(repository.directory, flags);
  client = new RawClient(watched.server.grpc);
});

afterAll(async () => {
  client.close();
  await watched[Symbol.asyncDispose]();
  repository[Symbol.dispose]();
});

function expectBounded(cost: Cost, bytes: number): void {
  expect.soft(cost.unanswered, 'other callers are answered').toEqual([]);
  expect.soft(cost.answered).toBeGreaterThan(0);
  expect.soft(cost.maxMs, 'CPU time of one turn of the event loop, in ms').toBeLessThanOrEqual(MAX_LOOP_MS);
  expect.soft(cost.grownBytes / MIB, 'MiB of memory').toBeLessThanOrEqual((MAX_GROWTH * bytes + SLACK_BYTES) / MIB);
}

async function callCost(path: string, isStreaming: boolean, message: Buffer): Promise<Cost> {
  const options: CallOptions = { timeoutMs: 60_000 };
  return await watched.costOf(async () => {
    if (!isStreaming) return await client.unary(path, message, options);
    const stream = client.stream(path, options);
    stream.write(message);
    stream.end();
    // A watch goes on for ever: what its message costs shows with the first answer.
    stream.once('data', () => stream.cancel());
    return await collect(stream);
  });
}

describe('a message at the limit that is crafted against the decoder costs bounded time and memory', () => {
  for (const { path, method } of RPCS.filter((rpc) => isInfer(rpc.path))) {
    test.for(craftedMessages(method.input))(
      `${path}: $title`,
      { timeout: TIMEOUT_MS },
      async ({ make }: CraftedMessage) => {
        const message = make(LIMIT);
        expectBounded(await callCost(path, method.methodKind !== 'unary', message), message.length);
      },
    );
  }
});

describe('every other RPC refuses a message of the server-wide limit, and reads a small one at bounded cost', () => {
  const others = RPCS.filter(({ path }) => !isInfer(path));
  test.for(others)('$path', { timeout: TIMEOUT_MS }, async ({ path, method }) => {
    const isStreaming = method.methodKind !== 'unary';
    for (const { title, make } of craftedMessages(method.input)) {
      for (const size of [64 * KIB - 64, MIB - 64, LIMIT]) {
        const message = make(size);
        const cost = await callCost(path, isStreaming, message);
        expect.soft(cost.maxMs, `${title}, ${size} bytes: ms of the event loop`).toBeLessThanOrEqual(MAX_LOOP_MS);
        expectBounded(cost, size);
      }
    }
  });
});

/** A request that is well formed, for a model that takes any length. */
function request(model: string, datatype: string, elements: number, contents: readonly Buffer[], raw?: Buffer): Buffer {
  const shape = Buffer.from([1, ...varint(elements)]);
  const input = Buffer.concat([
    delimited(1, Buffer.from('input')),
    delimited(2, Buffer.from(datatype)),
    delimited(3, shape),
    ...contents.map((content) => delimited(5, content)),
  ]);
  const parts = [delimited(1, Buffer.from(model)), delimited(5, input)];
  return Buffer.concat(raw === undefined ? parts : [...parts, delimited(7, raw)]);
}

describe('a request of as many elements as its bytes can hold costs bounded time and memory', () => {
  const half = LIMIT / 2;
  const table: readonly [what: string, make: () => Buffer][] = [
    ['INT64, packed', () => request('int64', 'INT64', half, [delimited(3, Buffer.alloc(half, 1))])],
    ['INT64, unpacked', () => request('int64', 'INT64', half, [Buffer.alloc(2 * half, Buffer.from([24, 1]))])],
    [
      'bytes_contents, empty strings',
      () => request('text', 'BYTES', half, [Buffer.alloc(2 * half, Buffer.from([66, 0]))]),
    ],
    ['raw BYTES, empty strings', () => request('text', 'BYTES', LIMIT / 4, [], Buffer.alloc(LIMIT))],
    ['raw BYTES, strings of one letter', () => request('text', 'BYTES', Math.floor(LIMIT / 5), [], letters())],
    ['raw BYTES, a count that is not the shape’s', () => request('text', 'BYTES', 1, [], Buffer.alloc(LIMIT))],
    ['raw FP32', () => request('x', 'FP32', LIMIT / 4, [], Buffer.alloc(LIMIT))],
  ];
  const letters = (): Buffer => Buffer.alloc(LIMIT - (LIMIT % 5), Buffer.from([1, 0, 0, 0, 97]));
  for (const path of INFER_PATHS) {
    test.for(table)(`${path}: %s`, { timeout: TIMEOUT_MS }, async ([, make]) => {
      const message = make();
      expectBounded(await callCost(path, path.endsWith('StreamInfer'), message), message.length);
    });
  }
});

async function postCost(path: string, body: Uint8Array, headers: Readonly<Record<string, string>> = {}): Promise<Cost> {
  return await watched.costOf(async () => {
    const signal = AbortSignal.timeout(60_000);
    // A server that refuses a body may close before it has come.
    const response = await fetch(watched.server.http + path, { method: 'POST', body, headers, signal }).catch(
      () => undefined,
    );
    await response?.arrayBuffer().catch(() => {});
  });
}

describe('a body at the limit that is crafted against the reader of JSON costs bounded time and memory', () => {
  const infer = '/v2/models/x/infer';
  test.for([...INFER_BODIES, ...JSON_BODIES])(
    `${infer}: $title`,
    { timeout: TIMEOUT_MS },
    async ({ make }: CraftedBody) => {
      const body = make(LIMIT);
      expectBounded(await postCost(infer, body), body.length);
    },
  );

  test.for([...INFER_BODIES, ...JSON_BODIES])(
    `${infer}, in gzip: $title`,
    { timeout: TIMEOUT_MS },
    async ({ make }) => {
      const body = make(LIMIT);
      expectBounded(await postCost(infer, gzipSync(body, { level: 1 }), { 'content-encoding': 'gzip' }), body.length);
    },
  );

  test('every other route that takes a body, over its whole length', { timeout: TIMEOUT_MS }, async () => {
    const document: { readonly paths: Readonly<Record<string, object>> } = JSON.parse(
      await (await fetch(`${watched.server.http}/v2/openapi.json`)).text(),
    );
    const routes = Object.entries(document.paths).filter(([path, operations]) => {
      return 'post' in operations && !path.endsWith('/infer');
    });
    expect(routes.length).toBeGreaterThan(4);
    for (const [path] of routes) {
      for (const { title, make } of JSON_BODIES) {
        for (const size of [64 * KIB - 64, MIB - 64, LIMIT]) {
          const cost = await postCost(path.replace('{model}', 'x'), make(size));
          expect.soft(cost.maxMs, `${path}: ${title}, ${size} bytes`).toBeLessThanOrEqual(MAX_LOOP_MS);
          expectBounded(cost, size);
        }
      }
    }
  });
});

test('over all these messages, 99 of 100 turns of the event loop are short', () => {
  expect(watched.p99Ms).toBeLessThanOrEqual(MAX_P99_MS);
});
