/** Runs that take long: who waits for them, who waits behind them, and when they hang. */

import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test, vi } from 'vitest';
import { InferenceClient } from '../../src/client/inference-client.ts';
import { loopModel } from '../support/onnx-models.ts';
import { isAlive } from '../support/process-tree.ts';
import { Repository } from '../support/repository.ts';
import { ENDLESS } from '../support/runners.ts';
import { CAN_THROTTLE, DutyCycle, starve, throttle } from '../support/slow-cpu.ts';
import { askLoop, failureOf, loopInputs } from './loop-requests.ts';
import { readHeld, readMetrics } from './observation.ts';
import { ServerProcess } from './server-process.ts';

/** Some seconds of computing: a thousand times what the model took so far. */
const SECONDS = 150_000;
const PATIENT = { deadlineMs: 120_000 };

interface Loop extends AsyncDisposable {
  readonly server: ServerProcess;
  readonly http: string;
  readonly client: InferenceClient;
  runner(): number;
  /** The log's lines on runs that were stopped, once there is one. */
  stopped(): Promise<unknown[]>;
  /** Batches of the model that ended so. */
  batches(outcome: string): Promise<number>;
}

/** A server of the loop model, which has answered 200 requests in no time. */
async function loopServer(config: { instances?: number; maxRunMs?: number } = {}): Promise<Loop> {
  const repository = new Repository({
    loop: {
      versions: { 1: loopModel() },
      config: {
        instance_group: [{ count: config.instances ?? 1 }],
        // Who waits together is not answered together.
        max_batch_size: 1,
        ...(config.maxRunMs !== undefined && { tensorgate: { max_run_ms: config.maxRunMs } }),
      },
    },
  });
  const server = new ServerProcess(repository.directory);
  const { grpc, http } = await server.ready;
  const client = new InferenceClient(grpc);
  for (let value = 0; value < 200; value++) expect(await askLoop(client, value, PATIENT)).toBe(value);
  return {
    server,
    http,
    client,
    runner: () => server.runnerPids()[0] ?? Number.NaN,
    async stopped() {
      const lines = (): string[] => server.log.filter((line) => line.includes('a run was stopped'));
      await vi.waitUntil(() => lines().length > 0, { timeout: 30_000, interval: 10 });
      return lines().map((line) => JSON.parse(line));
    },
    batches: async (outcome) => (await readMetrics({ http }))('tensorgate_batches_total', { model: 'loop', outcome }),
    async [Symbol.asyncDispose]() {
      client.close();
      await server[Symbol.asyncDispose]();
      repository[Symbol.dispose]();
    },
  };
}

/** Resolves when so many requests are in runners. */
async function untilRunning(loop: Loop, count: number): Promise<void> {
  await vi.waitUntil(async () => (await readHeld(loop)).running === count, { timeout: 20_000, interval: 5 });
}

/** Asks for a run that never ends, which its caller gives up after a while. */
function askEndlessly({ client }: Loop, id: string, deadlineMs: number): Promise<unknown> {
  return failureOf(client.infer('loop', loopInputs(1, ENDLESS), { id, deadlineMs }));
}

describe('a run of seconds, where 200 took a millisecond each', () => {
  test('is answered; short requests beside it have the other instance, and no runner is restarted', async () => {
    await using loop = await loopServer({ instances: 2 });
    const runner = loop.runner();
    let isLongOver = false;
    const long = askLoop(loop.client, 7, { iterations: SECONDS, ...PATIENT }).finally(() => {
      isLongOver = true;
    });
    await untilRunning(loop, 1);
    for (let value = 0; value < 20; value++) expect(await askLoop(loop.client, value, PATIENT)).toBe(value);
    expect(isLongOver).toBe(false);
    expect(await long).toBe(7);
    expect(loop.runner()).toBe(runner);
    expect(await loop.batches('ok')).toBe(221);
  });

  test('is answered, and then short requests that waited for its instance', async () => {
    await using loop = await loopServer();
    const runner = loop.runner();
    const long = askLoop(loop.client, 7, { iterations: SECONDS, ...PATIENT });
    await untilRunning(loop, 1);
    const short = Array.from({ length: 20 }, (_, value) => askLoop(loop.client, value, PATIENT));
    expect(await long).toBe(7);
    expect(await Promise.all(short)).toEqual(Array.from({ length: 20 }, (_, value) => value));
    expect(loop.runner()).toBe(runner);
  });

  test('is answered where max_run_ms is longer', async () => {
    await using loop = await loopServer({ maxRunMs: 110_000 });
    const runner = loop.runner();
    expect(await askLoop(loop.client, 7, { iterations: SECONDS, ...PATIENT })).toBe(7);
    expect(loop.runner()).toBe(runner);
  });

  test('fails with the limit where max_run_ms is shorter, once, and the next request finds a new runner', async () => {
    await using loop = await loopServer({ maxRunMs: 1_000 });
    const failure = await failureOf(loop.client.infer('loop', loopInputs(7, ENDLESS), { id: 'too long', ...PATIENT }));
    expect(failure.status).toBe('RESOURCE_EXHAUSTED');
    expect(failure.details).toContain('1000 ms that tensorgate.max_run_ms allows');
    expect(await askLoop(loop.client, 2, PATIENT)).toBe(2);
    expect([await loop.batches('overran'), await loop.batches('timed_out')]).toEqual([1, 0]);
    expect(await loop.stopped()).toMatchObject([
      { msg: 'a run was stopped: no answer within 1000 ms', request_ids: 'too long', duration_ms: expect.any(Number) },
    ]);
  });
});

describe('a run whose last caller has gone', () => {
  test('ends at once where another request waits for the instance, which is answered; it is named, and not run again', async () => {
    await using loop = await loopServer();
    const runner = loop.runner();
    const gone = askEndlessly(loop, 'endless-1', 1_000);
    await untilRunning(loop, 1);
    const waiting = askLoop(loop.client, 2, PATIENT);
    expect(await gone).toMatchObject({ status: 'DEADLINE_EXCEEDED' });
    expect(await waiting).toBe(2);
    expect(isAlive(runner)).toBe(false);
    expect(await askLoop(loop.client, 3, PATIENT)).toBe(3);
    expect(await loop.batches('abandoned')).toBe(1);
    // Nothing of it ran again, and nothing counts as a crash.
    expect(await loop.batches('ok')).toBe(202);
    expect(await loop.stopped()).toMatchObject([
      {
        level: 'warn',
        model: 'loop',
        version: '1',
        requests: 1,
        request_ids: 'endless-1',
        clients: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
        msg: expect.stringContaining('that no caller waited for'),
      },
    ]);
  });

  test('goes on while no other request waits, and ends at once when one comes', async () => {
    await using loop = await loopServer();
    const runner = loop.runner();
    await askEndlessly(loop, 'endless-1', 300);
    // Longer than any limit except max_run_ms.
    await sleep(4_000);
    expect(loop.runner()).toBe(runner);
    expect(await askLoop(loop.client, 2, PATIENT)).toBe(2);
    expect(isAlive(runner)).toBe(false);
    expect(await loop.batches('abandoned')).toBe(1);
  });

  test('goes on to max_run_ms, and is named', async () => {
    await using loop = await loopServer({ maxRunMs: 3_000 });
    const runner = loop.runner();
    await askEndlessly(loop, 'endless-1', 300);
    expect(isAlive(runner)).toBe(true);
    expect(await loop.stopped()).toMatchObject([
      { msg: 'a run was stopped: no answer within 3000 ms', request_ids: 'endless-1' },
    ]);
    expect(await askLoop(loop.client, 2, PATIENT)).toBe(2);
  });

  test('takes no answer from the runs beside it: they run again, and beside others', async () => {
    await using loop = await loopServer({ instances: 2 });
    const gone = askEndlessly(loop, 'endless-1', 500);
    await untilRunning(loop, 1);
    const beside = askLoop(loop.client, 7, { iterations: SECONDS, ...PATIENT });
    await untilRunning(loop, 2);
    const waiting = askLoop(loop.client, 2, PATIENT);
    expect(await gone).toMatchObject({ status: 'DEADLINE_EXCEEDED' });
    expect(await waiting).toBe(2);
    expect(await beside).toBe(7);
    expect([await loop.batches('abandoned'), await loop.batches('interrupted')]).toEqual([1, 1]);
    expect([await loop.batches('crashed'), await loop.batches('timed_out')]).toEqual([0, 0]);
  });
});

test('a run that is ended for others takes no answer from another model of its runner', async () => {
  const config = { instance_group: [{ count: 1 }], max_batch_size: 1, tensorgate: { runner: 'shared' } };
  using repository = new Repository({
    loop: { versions: { 1: loopModel() }, config },
    other: { versions: { 1: loopModel() }, config },
  });
  await using server = new ServerProcess(repository.directory);
  const { grpc, http } = await server.ready;
  using client = new InferenceClient(grpc);
  const gone = failureOf(client.infer('loop', loopInputs(1, ENDLESS), { deadlineMs: 1_000 }));
  const beside = client.infer('other', loopInputs(7, SECONDS), PATIENT);
  await vi.waitUntil(async () => (await readHeld({ http })).running === 2, { timeout: 20_000, interval: 5 });
  const waiting = askLoop(client, 2, PATIENT);
  expect(await gone).toMatchObject({ status: 'DEADLINE_EXCEEDED' });
  expect(await waiting).toBe(2);
  expect((await beside).output('output', 'FP32').data).toEqual(Float32Array.of(7));
  const batches = await readMetrics({ http });
  for (const [model, outcome] of [
    ['loop', 'abandoned'],
    ['other', 'interrupted'],
  ] as const) {
    expect(batches('tensorgate_batches_total', { model, outcome })).toBe(1);
  }
});

describe('a run that gets little of a core', () => {
  test('because its process is stopped nineteen twentieths of the time does not hang', async () => {
    await using loop = await loopServer();
    const runner = loop.runner();
    await using _ = new DutyCycle(runner, { stopMs: 190, runMs: 10 });
    expect(await askLoop(loop.client, 7, { iterations: 5_000, ...PATIENT })).toBe(7);
    expect(loop.runner()).toBe(runner);
  });

  test('because a neighbour takes it does not hang', async () => {
    await using loop = await loopServer();
    const runner = loop.runner();
    using _ = starve(runner);
    expect(await askLoop(loop.client, 7, { iterations: 5_000, ...PATIENT })).toBe(7);
    expect(loop.runner()).toBe(runner);
  });

  test.skipIf(!CAN_THROTTLE)('because its cgroup is throttled does not hang', async () => {
    await using loop = await loopServer();
    const runner = loop.runner();
    using _ = throttle(runner, 2);
    expect(await askLoop(loop.client, 7, { iterations: 5_000, ...PATIENT })).toBe(7);
    expect(loop.runner()).toBe(runner);
  });
});
