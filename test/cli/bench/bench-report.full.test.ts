/** Reports of the command, and their comparison. */

import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseResult } from '../../../src/bench/result.ts';
import { tensor } from '../../../src/client/inference-client.ts';
import { createTestServer, fakeModel, type TestServer } from '../../../src/testing/test-server.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';
import { runCommandLine } from '../command-line.ts';

const echo = fakeModel({
  inputs: { x: { datatype: 'FP32', shape: [-1, 2] } },
  outputs: { y: { datatype: 'FP32', shape: [-1, 2] } },
  maxBatchSize: 8,
  run: async ({ x }) => {
    await delay(300);
    return { y: tensor.fp32(x.data, x.shape) };
  },
});

let server: TestServer;
beforeAll(async () => {
  server = await createTestServer({ models: { echo } });
});
afterAll(() => server.close());

const bench = (...args: readonly string[]) =>
  runCommandLine(['bench', 'echo', '--url', server.address, '--warm-up', '0s', ...args]);

// A client that a busy machine keeps from sending has no latency to compare.
test('several processes share the load, and the report is compared with an earlier one', { retry: 2 }, async () => {
  const report = path.join(temporaryDirectory(), 'report');
  const first = await bench('--concurrency', '3', '--duration', '2s', '--processes', '2', '--report', report);
  expect(first).toMatchObject({ code: 0, stderr: '' });
  const file = path.join(report, 'results.json');
  const result = parseResult(fs.readFileSync(file, 'utf8'));
  expect(result.levels).toMatchObject([{ concurrency: 3, failures: {}, client: { processes: 2 } }]);
  expect(result.levels[0]?.answered).toBeGreaterThan(0);
  expect(fs.readFileSync(path.join(report, 'index.html'), 'utf8')).toContain('<title>echo under load</title>');

  // The model answers within 300 ms: an earlier result of 1 ms makes that a regression.
  const [level] = result.levels;
  const latencyMs = { mean: 1, p50: 1, p90: 1, p95: 1, p99: 1, p999: 1, max: 1 };
  const range = { min: 1, max: 1 };
  const spread = { answeredPerS: range, p50Ms: range, p99Ms: range };
  fs.writeFileSync(file, JSON.stringify({ ...result, levels: [{ ...level, latencyMs, spread }] }));
  const second = await bench('--concurrency', '3', '--duration', '3s', '--compare', report, '--json');
  expect(second.code).toBe(1);
  const { comparison } = parseResult(second.stdout);
  expect(comparison?.levels[0]?.figures).toContainEqual(
    expect.objectContaining({ name: 'p50 ms', before: 1, verdict: 'worse' }),
  );
});
