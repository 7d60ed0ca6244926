/** Triton's own load generator, with the commands of docs/clients.md: it reads metadata, configuration and statistics. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startServer, type TestServer } from '../support/server.ts';
import { perfAnalyzer } from '../tools/tools.ts';
import { documented, MODELS, runDocumented } from './documented.ts';

const program = perfAnalyzer();
if (program === undefined) console.warn('SKIPPED: perf_analyzer is not installed (test/tools/setup.sh does)');

/** What it says of the server at one level. */
const SERVER =
  /Inference count: (\d+)\n\s+Execution count: (\d+)\n\s+Successful request count: (\d+)\n\s+Avg request latency: \d+ usec \(overhead \d+ usec \+ queue (\d+) usec \+ compute input (\d+) usec \+ compute infer (\d+) usec \+ compute output (\d+) usec\)/g;
const LEVEL = /^(?:Concurrency|Request Rate): (\d+), throughput: ([\d.]+) infer\/sec, latency (\d+) usec$/gm;

describe.skipIf(program === undefined)('perf_analyzer', () => {
  let server: TestServer;

  beforeAll(async () => {
    server = await startServer(MODELS, { flags: ['--log-level', 'warn'] });
  });

  afterAll(async () => {
    await server.stop();
    expect(await server.log).toBe('');
  });

  test.each([
    ['in a closed loop', 0, ['1', '4']],
    ['in an open loop', 1, ['50']],
    ['in a stream', 2, ['4']],
  ])('measures %s, with a full table and what the server says of itself', async (_, block, levels) => {
    const command = documented('perf_analyzer', 'sh')[block] ?? '';
    const { code, stdout, stderr } = await runDocumented(server, command, [program ?? '']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect([...stdout.matchAll(LEVEL)].map(([, level]) => level)).toEqual(levels);
    for (const [, , throughput, latency] of stdout.matchAll(LEVEL)) {
      expect(Number(throughput)).toBeGreaterThan(0);
      expect(Number(latency)).toBeGreaterThan(0);
    }
    const lines = [...stdout.matchAll(SERVER)].map(([, ...numbers]) => numbers.map(Number));
    expect(lines).toHaveLength(levels.length);
    for (const numbers of lines) expect(Math.min(...numbers)).toBeGreaterThan(0);
  });
});
