/** `tensorgate bench` beside the load generators that others trust, on the same server. */

import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseResult } from '../../src/bench/result.ts';
import { tensor } from '../../src/client/inference-client.ts';
import { createTestServer, fakeModel, type TestServer } from '../../src/testing/test-server.ts';
import { runProgram } from '../support/run-program.ts';
import { ghz, perfAnalyzer } from '../tools/tools.ts';

const ROUNDS = 2;
const CONCURRENCY = 32;
const SECONDS = 3;
/** Share by which the figures may differ. */
const TOLERANCE = 0.05;

/** Answers take this long, and not the processor, for which all tools compete. They differ, so that callers do not go in step. */
const LEAST_MS = 200;
const MOST_MS = 400;

const patient = fakeModel({
  inputs: { x: { datatype: 'FP32', shape: [-1, 4] } },
  outputs: { y: { datatype: 'FP32', shape: [-1, 4] } },
  maxBatchSize: 8,
  run: async ({ x }) => {
    await delay(LEAST_MS + Math.random() * (MOST_MS - LEAST_MS));
    return { y: tensor.fp32(x.data, x.shape) };
  },
});

async function output(program: string, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runProgram(program, args);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  return stdout;
}

/** Mean latency of a closed loop, in milliseconds. */
type Measure = (grpc: string) => Promise<number>;

/** By Little's law, from the answers a second: a busy client prints no latency. */
const ours: Measure = async (grpc) => {
  const load = ['--concurrency', String(CONCURRENCY), '--duration', `${SECONDS}s`, '--processes', '1', '--json'];
  const main = new URL('../../src/cli/main.ts', import.meta.url).pathname;
  const text = await output(process.execPath, [main, 'bench', 'patient', '--url', grpc, ...load]);
  return (1_000 * CONCURRENCY) / (parseResult(text).levels[0]?.answeredPerS ?? 0);
};

const perfAnalyzers: Measure = async (grpc) => {
  // It takes the mean of three windows.
  const windows = ['--measurement-mode', 'time_windows', '--measurement-interval', String((SECONDS * 1_000) / 3)];
  const load = ['--concurrency-range', String(CONCURRENCY), '-s', '999', '-r', '3'];
  const text = await output(perfAnalyzer() ?? '', ['-m', 'patient', '-i', 'grpc', '-u', grpc, ...load, ...windows]);
  const [, us] = /^Concurrency: \d+, throughput: [\d.]+ infer\/sec, latency (\d+) usec$/m.exec(text) ?? [];
  return Number(us) / 1_000;
};

const ghzs: Measure = async (grpc) => {
  const inputs = [{ name: 'x', datatype: 'FP32', shape: [1, 4] }];
  const request = { model_name: 'patient', inputs, raw_input_contents: [Buffer.alloc(16).toString('base64')] };
  const call = ['--insecure', '--call', 'inference.GRPCInferenceService.ModelInfer', '-d', JSON.stringify(request)];
  const load = ['-z', `${SECONDS}s`, '--duration-stop', 'wait', '-c', String(CONCURRENCY), '--connections', '4'];
  const text = await output(ghz() ?? '', [...call, ...load, '--format', 'json', grpc]);
  return (JSON.parse(text) as { readonly average: number }).average / 1e6;
};

const JUDGES = [
  { name: 'perf_analyzer', program: perfAnalyzer(), measure: perfAnalyzers },
  { name: 'ghz', program: ghz(), measure: ghzs },
];

const present = JUDGES.filter(({ name, program }) => {
  if (program === undefined) console.warn(`SKIPPED: ${name} is not installed (test/tools/setup.sh does)`);
  return program !== undefined;
});

describe.skipIf(present.length === 0)('a closed loop of tensorgate bench', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await createTestServer({ models: { patient } });
  });
  afterAll(() => server.close());

  test('takes as long for a call as perf_analyzer and ghz say', { retry: 2, timeout: 180_000 }, async () => {
    // The tools run in turn, and the best round of each counts: other work of the machine only adds to a latency.
    const best = new Map<string, number>();
    for (let round = 0; round < ROUNDS; round++) {
      for (const { name, measure } of [{ name: 'ours', measure: ours }, ...present]) {
        best.set(name, Math.min(best.get(name) ?? Number.POSITIVE_INFINITY, await measure(server.address)));
      }
    }
    for (const { name } of present) {
      const ratio = (best.get('ours') ?? Number.NaN) / (best.get(name) ?? Number.NaN);
      expect(Math.abs(ratio - 1), `ours beside ${name}: ${JSON.stringify([...best])}`).toBeLessThan(TOLERANCE);
    }
  });
});
