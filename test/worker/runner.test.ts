import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Mailbox } from '../../src/worker/mailbox.ts';
import type { FromRunner, ToRunner } from '../../src/worker/protocol.ts';
import { ENDLESS, loopModelFile, loopRow, sessionSpec } from '../support/runners.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

/** A runner whose messages the test sees as they are. */
async function loadedRunner(): Promise<{
  child: ChildProcess;
  box: Mailbox;
  ask(message: ToRunner): Promise<FromRunner>;
}> {
  const child = fork(new URL('../../src/worker/runner.ts', import.meta.url), [], {
    execArgv: [],
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  const box = Mailbox.create(temporaryDirectory());
  onTestFinished(() => box.close());
  const ask = async (message: ToRunner): Promise<FromRunner> => {
    child.send(message);
    const [reply] = await once(child, 'message');
    return reply as FromRunner;
  };
  const spec = sessionSpec(loopModelFile());
  expect(await ask({ kind: 'load', instance: 1, mailboxPath: box.path, spec })).toMatchObject({ kind: 'loaded' });
  return { child, box, ask };
}

function loopRun(box: Mailbox, iterations: number): ToRunner {
  const [count, value] = loopRow(iterations).inputs;
  box.writeSync([count ?? new Uint8Array(8), new Uint8Array(56), value ?? new Uint8Array(4)], 0);
  return {
    kind: 'run',
    instance: 1,
    sequence: 5,
    run: {
      inputs: [
        { name: 'iterations', datatype: 'INT64', shape: [1, 1], offset: 0, byteLength: 8 },
        { name: 'input', datatype: 'FP32', shape: [1, 1], offset: 64, byteLength: 4 },
      ],
      outputOffset: 128,
    },
  };
}

describe('a runner whose gateway is gone', () => {
  test('ends by itself when it is idle', async () => {
    const { child } = await loadedRunner();
    const exited = once(child, 'exit');
    child.disconnect();
    expect(await exited).toEqual([0, null]);
  });

  test('ends in the middle of a run, too, without a core dump', async () => {
    const { child, box } = await loadedRunner();
    child.send(loopRun(box, ENDLESS));
    // The run is on its way once the processor of the runner is busy with it; a moment is enough for that.
    await new Promise((resolve) => setTimeout(resolve, 200));
    const exited = once(child, 'exit');
    child.disconnect();
    expect(await exited).toEqual([null, 'SIGKILL']);
  });
});

describe('a reply', () => {
  test('names its instance and its sequence', async () => {
    const { box, ask } = await loadedRunner();
    expect(await ask(loopRun(box, 1))).toMatchObject({ kind: 'ran', instance: 1, sequence: 5 });
    expect(await ask({ kind: 'unload', instance: 1 })).toEqual({ kind: 'unloaded', instance: 1 });
    expect(await ask(loopRun(box, 1))).toMatchObject({ kind: 'run-failed', fault: 'internal', sequence: 5 });
  });

  test('to an unload of what is not there is that it is unloaded', async () => {
    const { ask } = await loadedRunner();
    expect(await ask({ kind: 'unload', instance: 77 })).toEqual({ kind: 'unloaded', instance: 77 });
  });
});
