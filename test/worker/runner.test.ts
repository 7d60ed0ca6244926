import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { threadActivity } from '../../src/gateway/dispatch/thread-activity.ts';
import { bytesOf } from '../../src/wire/tensor-bytes.ts';
import { Mailbox } from '../../src/worker/mailbox.ts';
import {
  ANY_OUTPUT_BYTES,
  CHANNEL_KEY_BYTES,
  type FromRunner,
  type Run,
  type SessionOptions,
  type ToRunner,
} from '../../src/worker/protocol.ts';
import { FrameReader, FrameWriter, tensorNumbers } from '../../src/worker/run-frame.ts';
import type { ReportedOutcome } from '../../src/worker/run-outcome.ts';
import { ENDLESS, loopModelFile, loopRow, sessionSpec } from '../support/runners.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const KEY = '5a'.repeat(CHANNEL_KEY_BYTES);

interface Loaded {
  readonly child: ChildProcess;
  readonly box: Mailbox;
  /** The gateway's end of the run channel. */
  readonly channel: net.Socket;
  /** By which it says that its instance is run. */
  readonly threads: readonly number[];
  ask(message: ToRunner): Promise<FromRunner>;
  send(run: Run): void;
  run(run: Run): Promise<ReportedOutcome>;
}

/** A runner whose messages and frames the test sees as they are. */
async function loadedRunner(options: Partial<SessionOptions> = {}): Promise<Loaded> {
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
  const path = `${temporaryDirectory()}/channel`;
  const server = net.createServer().listen(path);
  onTestFinished(() => void server.close());
  const connected = once(server, 'connection');
  const plain = sessionSpec(loopModelFile());
  const session = { ...plain, options: { ...plain.options, ...options } };
  const loading = ask({
    kind: 'load',
    instance: 1,
    spec: { mailboxPath: box.path, channel: { path, key: KEY }, session },
  });
  const [channel]: net.Socket[] = (await connected) as net.Socket[];
  if (channel === undefined) throw new Error('no channel');
  onTestFinished(() => void channel.destroy());
  const [key] = (await once(channel, 'data')) as [Buffer];
  expect(key.toString('hex')).toBe(KEY);
  channel.write(new FrameWriter().welcome());
  const loaded = await loading;
  if (loaded.kind !== 'loaded') throw new Error(JSON.stringify(loaded));
  const { info, threads } = loaded;
  const send = (run: Run): void => {
    channel.write(new FrameWriter().run(run, tensorNumbers(info.inputs)));
  };
  const run = async (batch: Run): Promise<ReportedOutcome> => {
    send(batch);
    const [bytes] = (await once(channel, 'data')) as [Buffer];
    const outcome = new FrameReader().push(bytes)?.outcome(info.outputs);
    if (outcome === undefined) throw new Error('a part of an outcome');
    return outcome;
  };
  return { child, box, channel, threads, ask, send, run };
}

function loopRun(box: Mailbox, iterations: number): Run {
  const [count, value] = loopRow(iterations).inputs.map(bytesOf);
  box.writeSync([count ?? new Uint8Array(8), new Uint8Array(56), value ?? new Uint8Array(4)], 0);
  return {
    inputs: [
      { name: 'iterations', datatype: 'INT64', shape: [1, 1], offset: 0, byteLength: 8 },
      { name: 'input', datatype: 'FP32', shape: [1, 1], offset: 64, byteLength: 4 },
    ],
    outputOffset: 128,
    maxOutputBytes: ANY_OUTPUT_BYTES,
  };
}

describe('a runner whose gateway is gone', () => {
  test('ends by itself when it is idle', async () => {
    const { child } = await loadedRunner();
    const exited = once(child, 'exit');
    child.disconnect();
    expect(await exited).toEqual([null, 'SIGKILL']);
  });

  test('ends in the middle of a run, too, without a core dump', async () => {
    const { child, box, send } = await loadedRunner();
    send(loopRun(box, ENDLESS));
    // The run is on its way once the processor of the runner is busy with it; a moment is enough for that.
    await new Promise((resolve) => setTimeout(resolve, 200));
    const exited = once(child, 'exit');
    child.disconnect();
    expect(await exited).toEqual([null, 'SIGKILL']);
  });
});

describe('an instance', () => {
  test.each([1, 4])('names the threads that run it: its own, and %i of its session', async (intraOpNumThreads) => {
    const { child, box, threads, send } = await loadedRunner({ intraOpNumThreads });
    const { pid = 0 } = child;
    expect(threads.length).toBeGreaterThanOrEqual(intraOpNumThreads);
    expect(threads).not.toContain(pid);
    const before = await threadActivity(pid, threads);
    const own = await threadActivity(pid, threads.slice(0, 1));
    send(loopRun(box, ENDLESS));
    await vi.waitUntil(
      async () => {
        const now = await threadActivity(pid, threads.slice(0, 1));
        return (now?.cpuMs ?? 0) >= (own?.cpuMs ?? 0) + 50;
      },
      { timeout: 20_000 },
    );
    expect((await threadActivity(pid, threads))?.cpuMs).toBeGreaterThan(before?.cpuMs ?? Number.NaN);
  });

  test('answers runs on its own channel, until that ends', async () => {
    const { child, box, channel, ask, run } = await loadedRunner();
    expect(await run(loopRun(box, 1))).toMatchObject({ kind: 'ok' });
    expect(await run(loopRun(box, 1))).toMatchObject({ kind: 'ok' });
    channel.destroy();
    expect(await ask({ kind: 'unload', instance: 1 })).toEqual({ kind: 'unloaded', instance: 1 });
    expect(child.exitCode).toBe(null);
  });

  test('THREAD-1: whose channel ends in the middle of a run finishes that run first, and its process lives on', async () => {
    const { child, box, channel, ask, send } = await loadedRunner();
    send(loopRun(box, 10_000));
    await new Promise((resolve) => setTimeout(resolve, 200));
    channel.destroy();
    expect(await ask({ kind: 'unload', instance: 1 })).toEqual({ kind: 'unloaded', instance: 1 });
    expect([child.exitCode, child.signalCode]).toEqual([null, null]);
  });

  test('that receives a malformed frame ends its channel', async () => {
    const { child, channel } = await loadedRunner();
    const closed = once(channel.resume(), 'close');
    channel.write(Buffer.alloc(64, 0xff));
    await closed;
    expect([child.exitCode, child.signalCode]).toEqual([null, null]);
  });

  test('that is not there is unloaded already', async () => {
    const { ask } = await loadedRunner();
    expect(await ask({ kind: 'unload', instance: 77 })).toEqual({ kind: 'unloaded', instance: 77 });
  });

  test('that finds no one at the address of its channel does not load', async () => {
    const { ask, box } = await loadedRunner();
    const channel = { path: '\0tensorgate-nobody', key: KEY };
    const spec = { mailboxPath: box.path, channel, session: sessionSpec(loopModelFile()) };
    const reply = await ask({ kind: 'load', instance: 2, spec });
    expect(reply).toMatchObject({ kind: 'load-failed', message: expect.stringContaining('run channel') });
  });
});
