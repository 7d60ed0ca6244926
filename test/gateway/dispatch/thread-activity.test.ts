import { Worker } from 'node:worker_threads';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { threadActivity } from '../../../src/gateway/dispatch/thread-activity.ts';
import { stopProcess } from '../../support/process-tree.ts';
import { pidOf, startRunner } from '../../support/runners.ts';

/** A thread of this process that runs some code; resolves with its id in the system. */
async function threadOf(code: string): Promise<number> {
  const own = "require('node:fs').readlinkSync('/proc/thread-self').split('/').at(-1)";
  const worker = new Worker(`require('node:worker_threads').parentPort.postMessage(Number(${own})); ${code}`, {
    eval: true,
  });
  onTestFinished(async () => void (await worker.terminate()));
  return new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
}

async function activityOf(...threads: number[]) {
  const activity = await threadActivity(process.pid, threads);
  if (activity === undefined) throw new Error('the system does not say');
  return activity;
}

describe('the threads of a run', () => {
  test('take CPU time while they compute, and could take more', async () => {
    const thread = await threadOf('for (;;);');
    const { cpuMs, state } = await activityOf(thread);
    expect(state).toBe('runnable');
    await vi.waitUntil(async () => (await activityOf(thread)).cpuMs >= cpuMs + 30, { timeout: 20_000 });
  });

  test('take none while they sleep', async () => {
    const thread = await threadOf('Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);');
    await vi.waitUntil(async () => (await activityOf(thread)).state === 'sleeping', { timeout: 20_000 });
    const { cpuMs } = await activityOf(thread);
    expect(await activityOf(thread)).toEqual({ cpuMs, state: 'sleeping' });
  });

  test('are judged together: one that computes is enough, and those that are gone do not count', async () => {
    const asleep = await threadOf('Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);');
    const busy = await threadOf('for (;;);');
    expect(await activityOf(asleep, 2 ** 30, busy)).toMatchObject({ state: 'runnable' });
  });

  test('are stopped with their process', async () => {
    const pid = pidOf(startRunner());
    await stopProcess(pid);
    expect(await threadActivity(pid, [pid])).toMatchObject({ state: 'stopped' });
  });
});

test.each([
  ['a process that is gone', 2 ** 30, [2 ** 30]],
  ['threads that are gone', process.pid, [2 ** 30]],
  ['no thread', process.pid, []],
])('nothing is known of %s', async (_, pid, threads) => {
  expect(await threadActivity(pid, threads)).toBeUndefined();
});
