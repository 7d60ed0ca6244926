/** `tensorgate bench` beside the load generators that others trust, on the same server. */

import { describe, expect, test } from 'vitest';
import { parseResult } from '../../src/bench/result.ts';
import { identityModel } from '../support/onnx-models.ts';
import { runProgram } from '../support/run-program.ts';
import { useServer } from '../support/server-fixture.ts';
import { ghz, perfAnalyzer } from '../tools/tools.ts';

const ROUNDS = 3;
const CONCURRENCY = 4;
/** Share by which the figures may differ. */
const TOLERANCE = 0.05;
const SECONDS = 2;

/** Every batch waits this long for more rows: the answers take the server's time, and not the processor's, for which all tools compete. */
const DELAY_MS = 60;

/** Means of one round in a closed loop. */
interface Figures {
  readonly answeredPerS: number;
  readonly latencyMs: number;
}

type Measure = (grpc: string) => Promise<Figures>;

async function output(program: string, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runProgram(program, args);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  return stdout;
}

const ours: Measure = async (grpc) => {
  const load = ['--concurrency', String(CONCURRENCY), '--duration', `${SECONDS}s`, '--warm-up', '300ms', '--json'];
  const main = new URL('../../src/cli/main.ts', import.meta.url).pathname;
  const text = await output(process.execPath, [main, 'bench', 'delayed', '--url', grpc, ...load]);
  const [level] = parseResult(text).levels;
  return { answeredPerS: level?.answeredPerS ?? 0, latencyMs: level?.latencyMs?.mean ?? Number.NaN };
};

const perfAnalyzers: Measure = async (grpc) => {
  const load = ['--concurrency-range', String(CONCURRENCY), '--measurement-interval', String(SECONDS * 1_000)];
  const windows = ['--measurement-mode', 'time_windows', '-s', '999', '-r', '1'];
  const text = await output(perfAnalyzer() ?? '', ['-m', 'delayed', '-i', 'grpc', '-u', grpc, ...load, ...windows]);
  const [, perS, us] = /^Concurrency: \d+, throughput: ([\d.]+) infer\/sec, latency (\d+) usec$/m.exec(text) ?? [];
  return { answeredPerS: Number(perS), latencyMs: Number(us) / 1_000 };
};

const ghzs: Measure = async (grpc) => {
  const inputs = [{ name: 'input', datatype: 'FP32', shape: [1, 4] }];
  const request = { model_name: 'delayed', inputs, raw_input_contents: [Buffer.alloc(16).toString('base64')] };
  const calls = Math.round((SECONDS * 1_000 * CONCURRENCY) / DELAY_MS);
  const load = ['-n', String(calls), '-c', String(CONCURRENCY), '--connections', String(CONCURRENCY)];
  const call = ['--insecure', '--call', 'inference.GRPCInferenceService.ModelInfer', '-d', JSON.stringify(request)];
  const text = await output(ghz() ?? '', [...call, ...load, '--format', 'json', grpc]);
  const { rps, average } = JSON.parse(text) as { rps: number; average: number };
  return { answeredPerS: rps, latencyMs: average / 1e6 };
};

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

const JUDGES = [
  { name: 'perf_analyzer', program: perfAnalyzer(), measure: perfAnalyzers },
  { name: 'ghz', program: ghz(), measure: ghzs },
];

describe('a closed loop of tensorgate bench', () => {
  const fixture = useServer({
    delayed: {
      versions: { 1: identityModel('FP32') },
      config: {
        max_batch_size: 64,
        instance_group: [{ count: 1, kind: 'KIND_CPU' }],
        dynamic_batching: { max_queue_delay_microseconds: DELAY_MS * 1_000 },
      },
    },
  });

  for (const { name, program, measure } of JUDGES) {
    if (program === undefined) console.warn(`SKIPPED: ${name} is not installed (test/tools/setup.sh does)`);
    // The tools run in turn, so that a busy machine slows both alike.
    test.skipIf(program === undefined)(`measures what ${name} measures`, { retry: 2 }, async () => {
      const ratios: Figures[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        const [own, other] = [await ours(fixture.server.grpc), await measure(fixture.server.grpc)];
        ratios.push({
          answeredPerS: own.answeredPerS / other.answeredPerS,
          latencyMs: own.latencyMs / other.latencyMs,
        });
      }
      for (const figure of ['answeredPerS', 'latencyMs'] as const) {
        const ratio = median(ratios.map((round) => round[figure]));
        expect(Math.abs(ratio - 1), `${figure}: ${JSON.stringify(ratios)}`).toBeLessThan(TOLERANCE);
      }
    });
  }
});
