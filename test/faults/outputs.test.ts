/** A few bytes that ask for gigabytes of outputs: they fail by themselves, and nothing of them stays. */

import fs from 'node:fs';
import { describe, expect, test, vi } from 'vitest';
import { InferenceClient, tensor } from '../../src/client/inference-client.ts';
import { processMemory } from '../../src/gateway/dispatch/process-memory.ts';
import { identityModel, loopModel, wideningModel, zerosModel } from '../support/onnx-models.ts';
import { Repository } from '../support/repository.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { askLoop, failureOf } from './loop-requests.ts';
import { readMetrics, readReadiness } from './observation.ts';

const MIB = 2 ** 20;
const ONE_INSTANCE = { instance_group: [{ count: 1 }] };

function shape(rows: bigint, columns: bigint) {
  return { shape: tensor.int64([rows, columns], [2]) };
}

/** Resident memory of each runner, in bytes. */
async function runnerMemory(server: TestServer): Promise<number[]> {
  return Promise.all(server.runnerPids().map(async (pid) => (await processMemory(pid)) ?? 0));
}

/** The most that the process has ever held, in bytes. */
function peakOf(pid: number): number {
  return 1_024 * Number(/^VmHWM:\s+(\d+) kB$/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

describe('outputs beyond the bound', () => {
  test('fail their request with the bound and its setting, and the memory of it is given back', async () => {
    using repository = new Repository({
      zeros: { versions: { 1: zerosModel() }, config: ONE_INSTANCE },
      loop: { versions: { 1: loopModel() }, config: ONE_INSTANCE },
    });
    await using server = await startServer(repository.directory, { flags: ['--max-message-bytes', `${8 * MIB}`] });
    using client = new InferenceClient(server.grpc, { deadlineMs: 20_000 });
    const runners = server.runnerPids();
    expect((await client.infer('zeros', shape(2_048n, 1_024n))).output('values', 'FP32').data).toHaveLength(2 * MIB);
    const before = await runnerMemory(server);
    const gatewayBefore = peakOf(server.pid);

    for (let round = 0; round < 3; round++) {
      // 400 MB.
      const failure = await failureOf(client.infer('zeros', shape(10_000n, 10_000n)));
      expect(failure.status).toBe('RESOURCE_EXHAUSTED');
      expect(failure.details).toBe(
        "output 'values' of shape [10000,10000] has 400000000 bytes: the outputs of a request may have 8388608 (maxOutputBytes)",
      );
      expect(failure.pushbackMs).toBeUndefined();
    }
    expect(peakOf(server.pid) - gatewayBefore).toBeLessThan(64 * MIB);
    await vi.waitUntil(
      async () => (await runnerMemory(server)).every((bytes, index) => bytes - (before[index] ?? 0) < 100 * MIB),
      { timeout: 20_000, interval: 50 },
    );
    expect(server.runnerPids()).toEqual(runners);
    await client.infer('zeros', shape(10n, 10n));
    expect(await askLoop(client, 7)).toBe(7);
  });

  test('and a want of memory are never our fault: no breaker opens, no version leaves, no runner ends', async () => {
    using repository = new Repository({ zeros: { versions: { 1: zerosModel() }, config: ONE_INSTANCE } });
    await using server = await startServer(repository.directory, { flags: ['--max-output-bytes', '1000'] });
    using client = new InferenceClient(server.grpc, { deadlineMs: 20_000 });
    for (let round = 0; round < 12; round++) {
      const [rows, columns] = round % 2 === 0 ? [2n ** 40n, 1n] : [100n, 100n];
      const failure = await failureOf(client.infer('zeros', shape(rows, columns)));
      expect(failure.status).toBe('RESOURCE_EXHAUSTED');
      if (round % 2 === 0) expect(failure.details).toMatch(/^the model found too little memory for this request/);
    }
    const metrics = await readMetrics(server);
    expect(metrics('tensorgate_requests_total', { model: 'zeros', reason: 'limit_exceeded' })).toBe(12);
    expect(metrics('tensorgate_breaker_state', { model: 'zeros' })).toBe(0);
    expect(metrics('tensorgate_runner_restarts_total')).toBe(0);
    expect((await readReadiness(server)).code).toBe(200);
    expect((await client.infer('zeros', shape(10n, 25n))).output('values', 'FP32').data).toHaveLength(250);
  });

  test('fail only the request that has them, not its batch', async () => {
    const batching = { preferred_batch_size: [8], max_queue_delay_microseconds: 5_000_000 };
    using repository = new Repository({
      wide: {
        versions: { 1: wideningModel() },
        config: {
          ...ONE_INSTANCE,
          max_batch_size: 8,
          dynamic_batching: batching,
          tensorgate: { row_independence: 'assume' },
        },
      },
    });
    await using server = await startServer(repository.directory, { flags: ['--max-output-bytes', '4000'] });
    using client = new InferenceClient(server.grpc, { deadlineMs: 20_000 });
    const widths = [1, 10, 100, 1_000, 1_001, 50_000, 2, 3];
    const results = await Promise.allSettled(
      widths.map((width) => client.infer('wide', { input: tensor.fp32([width], [1, 1]) })),
    );
    expect(results.map(({ status }) => status)).toEqual(
      widths.map((width) => (width > 1_000 ? 'rejected' : 'fulfilled')),
    );
    for (const [index, result] of results.entries()) {
      if (result.status === 'fulfilled') {
        expect(result.value.output('output', 'FP32').data[0]).toBe(widths[index]);
      } else {
        expect(String(result.reason)).toMatch(/the outputs of a request may have 4000 \(maxOutputBytes\)/);
      }
    }
  });

  test('are reported at the load of the model when every row has them', async () => {
    using repository = new Repository({ wide: { versions: { 1: identityModel('FP32', ['batch', 1_000]) } } });
    await using server = await startServer(repository.directory, { flags: ['--max-output-bytes', '3999'] });
    expect(server.lines).toEqual([
      'wide version 1: UNAVAILABLE: it cannot be called: its outputs have at least 4000 bytes a row, maxOutputBytes allows 3999: set maxOutputBytes to 4000 or more',
    ]);
  });
});
