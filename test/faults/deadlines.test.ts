/** Deadlines and cancellations, in the queue and in the middle of a run. */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { InferenceClient, tensor } from '../../src/client/inference-client.ts';
import { loopModel, slowModel } from '../support/onnx-models.ts';
import { stopProcess } from '../support/process-tree.ts';
import { Repository } from '../support/repository.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { askLoop, failureOf, LONG, loopInputs } from './loop-requests.ts';
import { readMetrics } from './observation.ts';
import { Stall, untilHeld } from './stall.ts';

const ONE_AT_A_TIME = { instance_group: [{ count: 1 }], max_batch_size: 1 };
const DEFAULT_DEADLINE_MS = 400;
/** More than anything here takes. */
const PATIENT = { deadlineMs: 20_000 };

let repository: Repository;
let server: TestServer;
/** Says nothing of deadlines of its own accord. */
let client: InferenceClient;

beforeAll(async () => {
  repository = new Repository({
    loop: { versions: { 1: loopModel() }, config: ONE_AT_A_TIME },
    slow: { versions: { 1: slowModel(3_000) }, config: ONE_AT_A_TIME },
  });
  server = await startServer(repository.directory, {
    flags: ['--default-deadline-ms', String(DEFAULT_DEADLINE_MS)],
  });
  client = new InferenceClient(server.grpc);
});

afterAll(async () => {
  client.close();
  await server.stop();
  repository[Symbol.dispose]();
});

/** What is stalled looks slow; runs that are not teach the server otherwise, or it would refuse short deadlines. */
async function relearn(): Promise<void> {
  for (let run = 0; run < 30; run++) await askLoop(client, run, PATIENT);
}

async function runsOf(model: string): Promise<number> {
  const [statistics] = await client.modelStatistics(model);
  return statistics?.executionCount ?? Number.NaN;
}

async function refusalsFor(reason: string, model = 'loop'): Promise<number> {
  return (await readMetrics(server))('tensorgate_requests_total', { model, reason });
}

describe('while the instance is busy', () => {
  let gateway: number;
  let runners: readonly number[];
  let runs: number;

  beforeEach(async () => {
    await relearn();
    gateway = server.pid;
    runners = server.runnerPids();
    runs = await runsOf('loop');
  });

  /** Those that were answered ran, and nothing else did; everybody lives, and nothing is held. */
  async function expectUnharmed(answered: number): Promise<void> {
    expect(await askLoop(client, 42, PATIENT)).toBe(42);
    await untilHeld(server, 0, 0);
    expect(await runsOf('loop')).toBe(runs + answered + 1);
    expect(server.runnerPids()).toEqual(runners);
    expect(server.pid).toBe(gateway);
    expect((await readMetrics(server))('tensorgate_in_flight_bytes')).toBe(0);
  }

  test('a request whose deadline passes in the queue gets DEADLINE_EXCEEDED, and never runs', async () => {
    const before = await refusalsFor('deadline_exceeded');
    const stall = await Stall.begin(server, client);
    const askedAt = performance.now();
    const failure = await failureOf(askLoop(client, 1, { deadlineMs: 100 }));
    expect(failure.status).toBe('DEADLINE_EXCEEDED');
    expect(performance.now() - askedAt).toBeLessThan(300);
    // The client's own clock would have said the same: it is the server that counts, and lets go of the request.
    await untilHeld(server, 0, 1);
    expect(await refusalsFor('deadline_exceeded')).toBe(before + 1);
    expect(await stall.end()).toBe(-1);
    await expectUnharmed(1);
  });

  test('a `timeout` that is shorter than the deadline is what counts', async () => {
    const stall = await Stall.begin(server, client);
    const askedAt = performance.now();
    const call = client.infer('loop', loopInputs(1), { ...PATIENT, parameters: { timeout: 100_000 } });
    const failure = await failureOf(call);
    const waitedMs = performance.now() - askedAt;
    expect(failure.status).toBe('DEADLINE_EXCEEDED');
    expect(failure.message).toBe('the deadline passed before the request was answered');
    expect(waitedMs).toBeGreaterThan(95);
    expect(waitedMs).toBeLessThan(300);
    expect(await stall.end()).toBe(-1);
    await expectUnharmed(1);
  });

  test('a call without a deadline gets the default one', async () => {
    const stall = await Stall.begin(server, client);
    const askedAt = performance.now();
    const failure = await failureOf(askLoop(client, 1));
    const waitedMs = performance.now() - askedAt;
    expect(failure.status).toBe('DEADLINE_EXCEEDED');
    expect(waitedMs).toBeGreaterThan(DEFAULT_DEADLINE_MS - 20);
    expect(waitedMs).toBeLessThan(DEFAULT_DEADLINE_MS + 200);
    expect(await stall.end()).toBe(-1);
    await expectUnharmed(1);
  });

  test('a request that is cancelled in the queue never runs', async () => {
    const before = await refusalsFor('cancelled');
    const stall = await Stall.begin(server, client);
    const caller = new AbortController();
    const failures = Array.from({ length: 20 }, (_, value) =>
      failureOf(askLoop(client, value, { ...PATIENT, signal: caller.signal })),
    );
    const kept = askLoop(client, 7, PATIENT);
    await untilHeld(server, 21, 1);
    caller.abort();
    for (const failure of await Promise.all(failures)) expect(failure.status).toBe('CANCELLED');
    // They leave the queue at once, not when their turn comes.
    await untilHeld(server, 1, 1);
    expect(await refusalsFor('cancelled')).toBe(before + 20);
    expect(await stall.end()).toBe(-1);
    expect(await kept).toBe(7);
    await expectUnharmed(2);
  });
});

describe('in the middle of its run', () => {
  test('a request that is cancelled ends for its caller at once; the run goes on, and then others have the instance', async () => {
    const runners = server.runnerPids();
    const caller = new AbortController();
    const failure = failureOf(askLoop(client, 1, { iterations: LONG, ...PATIENT, signal: caller.signal }));
    await untilHeld(server, 0, 1);
    caller.abort();
    expect((await failure).status).toBe('CANCELLED');
    // The permit is back although the run is not over.
    await untilHeld(server, 0, 0);
    const askedAt = performance.now();
    expect(await askLoop(client, 2, PATIENT)).toBe(2);
    expect(performance.now() - askedAt).toBeLessThan(2_000);
    expect(server.runnerPids()).toEqual(runners);
    expect((await readMetrics(server))('tensorgate_runner_restarts_total', { runner: 'loop:1' })).toBe(0);
  });

  test('a request whose deadline passes gets DEADLINE_EXCEEDED then, and not when the run is over', async () => {
    await relearn();
    const runs = await runsOf('loop');
    const [runner = Number.NaN] = server.runnerPids();
    await stopProcess(runner);
    const askedAt = performance.now();
    // The client's own clock is out of it.
    const failure = await failureOf(
      client.infer('loop', loopInputs(1), { ...PATIENT, parameters: { timeout: 150_000 } }),
    );
    expect(failure.status).toBe('DEADLINE_EXCEEDED');
    expect(performance.now() - askedAt).toBeGreaterThan(145);
    expect(performance.now() - askedAt).toBeLessThan(500);
    process.kill(runner, 'SIGCONT');
    expect(await askLoop(client, 2, PATIENT)).toBe(2);
    // It had begun, and was not taken back.
    expect(await runsOf('loop')).toBe(runs + 2);
    expect(server.runnerPids()).toContain(runner);
  });
});

describe('a model that is known to be slow', () => {
  /** As the server measured it at load, or a little more. */
  let runMs: number;

  const ask = (value: number, options: { deadlineMs: number }) =>
    client.infer('slow', { input: tensor.fp32([value], [1, 1]) }, options);

  beforeAll(async () => {
    const startedAt = performance.now();
    for (let run = 0; run < 3; run++) await ask(run, PATIENT);
    runMs = (performance.now() - startedAt) / 3;
  });

  test('refuses at once what it cannot do in time even alone, forbids to try again, and does not run it', async () => {
    const runs = await runsOf('slow');
    const askedAt = performance.now();
    const failure = await failureOf(ask(1, { deadlineMs: runMs / 2 }));
    expect(performance.now() - askedAt).toBeLessThan(runMs / 2);
    expect(failure.status).toBe('RESOURCE_EXHAUSTED');
    expect(failure.message).toMatch(
      /^cannot be answered in time: the model needs about \d+ ms, \d+(\.\d)? ms are left$/,
    );
    expect(failure.retryPushbackMs).toBe(-1);
    expect(await runsOf('slow')).toBe(runs);
  });

  test('refuses at once what would wait too long, and says when to come back', async () => {
    const runs = await runsOf('slow');
    const accepted = Array.from({ length: 4 }, (_, value) => ask(value, PATIENT));
    await untilHeld(server, 3, 1);
    const askedAt = performance.now();
    const failure = await failureOf(ask(9, { deadlineMs: runMs * 2 }));
    expect(performance.now() - askedAt).toBeLessThan(runMs / 2);
    expect(failure.status).toBe('RESOURCE_EXHAUSTED');
    expect(failure.message).toMatch(/^cannot be answered in time: about \d+ ms of work wait before it/);
    expect(failure.retryPushbackMs).toBeGreaterThan(runMs);
    expect(failure.retryPushbackMs).toBeLessThan(runMs * 10);
    for (const [value, result] of (await Promise.all(accepted)).entries()) {
      expect(result.output('output', 'FP32').data).toEqual(Float32Array.of(value));
    }
    expect(await runsOf('slow')).toBe(runs + 4);
  });

  test('takes what it can do in time', async () => {
    const result = await ask(3, { deadlineMs: runMs * 4 });
    expect(result.output('output', 'FP32').data).toEqual(Float32Array.of(3));
  });
});
