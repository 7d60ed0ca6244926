/** The command against a server that is not ours and offers only ModelMetadata and ModelInfer. */

import fs from 'node:fs';
import path from 'node:path';
import { type Server, type ServerUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseResult } from '../../../src/bench/result.ts';
import { type Message, startFakeServer, toEcho } from '../../client/fake-server.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';
import { runCommandLine } from '../command-line.ts';

type Call = ServerUnaryCall<Message, Message>;
type Reply = sendUnaryData<Message>;

/** How long each answer takes. */
const ANSWER_MS = 300;

let server: Server;
let url: string;
/** First elements of the inputs in the order of their arrival. */
const received: number[] = [];

beforeAll(async () => {
  const inputs = [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }];
  const started = await startFakeServer({
    ModelMetadata: ({ request }: Call, reply: Reply) => {
      if (request['name'] !== 'echo') return reply({ code: status.NOT_FOUND, details: `no ${request['name']}` });
      reply(null, { name: 'echo', versions: ['1'], platform: 'other', inputs, outputs: inputs });
    },
    ModelInfer: ({ request }: Call, reply: Reply) => {
      received.push((request['raw_input_contents'][0] as Buffer).readFloatLE(0));
      setTimeout(() => reply(null, toEcho(request)), ANSWER_MS);
    },
  });
  server = started.server;
  url = started.target;
});
afterAll(() => server.forceShutdown());

const bench = (...args: readonly string[]) =>
  runCommandLine(['bench', 'echo', '--url', url, '--duration', '1s', '--warm-up', '0s', ...args]);

test('a level that meets the SLO ends with 0, in a table and a line', async () => {
  const { code, stdout, stderr } = await bench('--rate', '10', '--slo', '30s');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const [head, row] = stdout.split('\n').map((line) => line.split(/ {2,}/));
  expect(head).toEqual([
    ...['rate/s', 'calls', 'answered/s', 'within 30000 ms/s', 'p50 ms', 'p90 ms', 'p99 ms', 'max ms', 'failed'],
    ...['rows/batch', 'queue ms', 'run ms', 'SLO'],
  ]);
  // The server has no statistics.
  expect([row?.[0], ...(row?.slice(8) ?? [])]).toEqual(['10', '0', '-', '-', '-', 'met']);
  expect(stdout).toContain('SLO: 99 % of the calls within 30000 ms: met at all levels\n');
});

test('a level that misses the SLO ends with 1', async () => {
  const { code, stdout } = await bench('--rate', '10', '--slo', `${ANSWER_MS - 100}ms`);
  expect(code).toBe(1);
  expect(stdout).toMatch(/SLO: 99 % of the calls within 200 ms: (missed|not decided) at rate 10\/s\n$/);
});

test('a closed loop sends the rows of --data in turn, and prints JSON', async () => {
  const file = path.join(temporaryDirectory(), 'rows.jsonl');
  fs.writeFileSync(file, '{"x": [[41, 0]]}\n{"x": [[42, 0]]}\n');
  received.length = 0;
  const { code, stdout } = await bench('--concurrency', '2', '--data', file, '--json');
  expect(code).toBe(0);
  const result = parseResult(stdout);
  expect(result).toMatchObject({ model: 'echo', arrivals: null, slo: null, data: { source: file, rows: 2 } });
  const [level] = result.levels;
  expect(level).toMatchObject({ concurrency: 2, failures: {} });
  expect(level?.answeredPerS).toBeGreaterThan(0);
  // Two calls under way that take 300 ms each end at most seven times a second.
  expect(level?.answeredPerS).toBeLessThanOrEqual(7);
  // The first row is tried before it is measured. The calls use several connections, so that two may arrive in either order.
  expect(received[0]).toBe(41);
  expect(received.slice(1, 3).sort()).toEqual([41, 42]);
});

test.each([
  [[], 2, 'error: no load: give --rate CALLS_A_SECOND or --concurrency CALLS\n'],
  [['--rate', '5', '--concurrency', '1'], 2, /cannot be used with option '--concurrency/],
  [['--rate', '5', '--slo', '50'], 2, /argument '50' is invalid. Expected a time with a unit/],
  [['--rate', '5', '--data', 'nowhere.npz'], 1, /^error: 'nowhere.npz' does not exist/],
  [['--rate', '5', '--compare', 'nowhere.json'], 1, /^error: --compare nowhere.json: expected results.json of a/],
  [['--rate', '5', '--report', import.meta.dirname], 1, /^error: --report .*: it contains other files/],
  [['--rate', '5', '--processes', '0'], 2, /'0' is invalid/],
  [['--rate', '5', '--protocol', 'rest'], 1, /^error: no model over REST at .*; --url has to name the HTTP port\n$/],
])('a wrong command line is named: %j', async (args, code, text) => {
  const ended = await bench(...args);
  expect(ended).toMatchObject({ code, stdout: '' });
  expect(ended.stderr).toMatch(text);
});

test('an unknown model is named before anything is sent', async () => {
  received.length = 0;
  const { code, stderr } = await runCommandLine(['bench', 'eco', '--url', url, '--rate', '5']);
  expect(code).toBe(1);
  expect(stderr).toMatch(/^error: no eco \(NOT_FOUND\)/);
  expect(received).toEqual([]);
});
