/** Deadlines and cancellations, in the queue and in the middle of a run. */

import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
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

/** A stalled run looks slow; quick runs correct that, or the server would refuse short deadlines. */
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

  /** Exactly the answered requests ran; every process lives, and nothing is held. */
  async function expectUnharmed(answered: number): Promise<void> {
    expect(await askLoop(client, 42, PATIENT)).toBe(42);
    await untilHeld(server, 0, 0);
    expect(await runsOf('loop')).toBe(runs + answered + 1);
    expect(server.runnerPids()).toEqual(runners);
    expect(server.pid).toBe(gateway);
    expect((await readMetrics(server))('tensorgate_in_flight_bytes')).toBe(0);
  }

  test('a request whose deadline passes in the queue gets DEADLINE_EXCEEDED, and never runs', async () => {
    // The clocks of both run out at the same moment: the server may read the cancellation of the client first.
    const ended = async () => (await refusalsFor('deadline_exceeded')) + (await refusalsFor('cancelled'));
    const before = await ended();
    await using stall = await Stall.begin(server, client);
    const failure = await failureOf(askLoop(client, 1, { deadlineMs: 100 }));
    expect(failure.status).toBe('DEADLINE_EXCEEDED');
    await untilHeld(server, 0, 1);
    expect(await ended()).toBe(before + 1);
    expect(await stall.end()).toBe(-1);
    await expectUnharmed(1);
  });

  test('a `timeout` that is shorter than the deadline is what counts', async () => {
    const before = await refusalsFor('deadline_exceeded');
    await using stall = await Stall.begin(server, client);
    const askedAt = performance.now();
    const call = client.infer('loop', loopInputs(1), { ...PATIENT, parameters: { timeout: 100_000 } });
    const failure = await failureOf(call);
    const waitedMs = performance.now() - askedAt;
    expect(failure.status).toBe('DEADLINE_EXCEEDED');
    expect(failure.details).toBe('the deadline passed before the request was answered');
    expect(await refusalsFor('deadline_exceeded')).toBe(before + 1);
    expect(waitedMs).toBeGreaterThan(95);
    expect(await stall.end()).toBe(-1);
    await expectUnharmed(1);
  });

  test('a call without a deadline gets the default one', async () => {
    await using stall = await Stall.begin(server, client);
    const askedAt = performance.now();
    const failure = await failureOf(askLoop(client, 1));
    const waitedMs = performance.now() - askedAt;
    expect(failure.status).toBe('DEADLINE_EXCEEDED');
    expect(waitedMs).toBeGreaterThan(DEFAULT_DEADLINE_MS - 20);
    expect(await stall.end()).toBe(-1);
    await expectUnharmed(1);
  });

  test('a request that is cancelled in the queue never runs', async () => {
    const before = await refusalsFor('cancelled');
    await using stall = await Stall.begin(server, client);
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
  test('a request that is cancelled ends for its caller at once; the run goes on while no other request waits for the instance', async () => {
    const runners = server.runnerPids();
    const runs = await runsOf('loop');
    const caller = new AbortController();
    const failure = failureOf(askLoop(client, 1, { iterations: LONG, ...PATIENT, signal: caller.signal }));
    await untilHeld(server, 0, 1);
    caller.abort();
    expect((await failure).status).toBe('CANCELLED');
    // The permit is back although the run is not over.
    await untilHeld(server, 0, 0);
    await vi.waitUntil(async () => (await runsOf('loop')) === runs + 1, { timeout: 20_000, interval: 5 });
    expect(await askLoop(client, 2, PATIENT)).toBe(2);
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
    process.kill(runner, 'SIGCONT');
    expect(await askLoop(client, 2, PATIENT)).toBe(2);
    // It had begun, and was not taken back.
    expect(await runsOf('loop')).toBe(runs + 2);
    expect(server.runnerPids()).toContain(runner);
  });
});

describe('a model that is known to be slow', () => {
  /** What the fastest run takes, or a little more. */
  let runMs = Number.POSITIVE_INFINITY;

  const ask = (value: number, options: { deadlineMs: number }) =>
    client.infer('slow', { input: tensor.fp32([value], [1, 1]) }, options);

  beforeAll(async () => {
    for (let run = 0; run < 5; run++) {
      const startedAt = performance.now();
      await ask(run, PATIENT);
      runMs = Math.min(runMs, performance.now() - startedAt);
    }
  });

  test('tries at once what it could not do in time so far, while it is idle', async () => {
    const runs = await runsOf('slow');
    expect((await failureOf(ask(1, { deadlineMs: runMs / 4 }))).status).toBe('DEADLINE_EXCEEDED');
    await vi.waitUntil(async () => (await runsOf('slow')) === runs + 1, { timeout: 20_000, interval: 5 });
  });

  /** Requests that are answered one after the other. */
  async function occupied(count: number): Promise<() => Promise<void>> {
    const accepted = Array.from({ length: count }, (_, value) => ask(value, PATIENT));
    await untilHeld(server, count - 1, 1);
    return async () => {
      for (const [value, result] of (await Promise.all(accepted)).entries()) {
        expect(result.output('output', 'FP32').data).toEqual(Float32Array.of(value));
      }
    };
  }

  test('refuses at once, while it is busy, a request that could not be in time even without others, forbids retries, and never runs it', async () => {
    const runs = await runsOf('slow');
    const answered = await occupied(20);
    // On a busy machine a call may spend all of its time before the server has read it.
    const refused = await vi.waitUntil(
      async () => {
        const failure = await failureOf(ask(9, { deadlineMs: runMs / 2 }));
        return failure.status === 'DEADLINE_EXCEEDED' ? undefined : failure;
      },
      { timeout: 20_000, interval: 5 },
    );
    expect(refused.status).toBe('RESOURCE_EXHAUSTED');
    expect(refused.details).toMatch(/^cannot be answered in time: the fastest run so far took \d+ ms, /);
    expect(refused.pushbackMs).toBe(-1);
    await answered();
    expect(await runsOf('slow')).toBe(runs + 20);
  });

  test('refuses at once what would wait too long behind others that are as urgent, and says when to come back', async () => {
    const answers = Array.from({ length: 40 }, (_, value) => ask(value, { deadlineMs: runMs * 5 }));
    const outcomes = await Promise.allSettled(answers);
    const failures = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []));
    const refusals = failures.filter(({ details }) =>
      /^cannot be answered in time: about \d+ ms of work go/.test(details),
    );
    expect(refusals.length).toBeGreaterThan(0);
    for (const { status, pushbackMs } of refusals) {
      expect(status).toBe('RESOURCE_EXHAUSTED');
      expect(pushbackMs).toBeGreaterThan(runMs);
    }
    await untilHeld(server, 0, 0);
  });

  test('takes what it can do in time', async () => {
    const result = await ask(3, { deadlineMs: runMs * 4 });
    expect(result.output('output', 'FP32').data).toEqual(Float32Array.of(3));
  });
});
