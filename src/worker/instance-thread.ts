/**
 * The work of a piscina thread: it loads one instance, then serves its run channel until the gateway ends that.
 *
 * THREAD-1: the thread ends between two runs, never inside one.
 */

import { flushCompileCache } from 'node:module';
import type { ChannelAddress, InstanceSpec, LoadedInstance, Run, SessionInfo, SessionSpec } from './protocol.ts';
import { RunChannel } from './run-channel.ts';
import { outcomeOf } from './run-failure.ts';
import { FrameWriter, tensorNumbers } from './run-frame.ts';
import type { ReportedOutcome } from './run-outcome.ts';
import { ownThreadId, threadIds } from './threads.ts';

/** Runs batches of an ONNX model, or of a step. */
interface Instance {
  /** @throws RunFailure, or another Error: `outcomeOf` reads both. */
  run(run: Run): Promise<ReportedOutcome>;
  unload(): Promise<void>;
}

interface Opened {
  readonly instance: Instance;
  readonly channel: RunChannel;
  readonly info: SessionInfo;
}

let opened: Opened | undefined;

/** @throws Error whose text says what is wrong with the model. */
export async function load({ channel: address, mailboxPath, session, calls }: InstanceSpec): Promise<LoadedInstance> {
  const channel = await RunChannel.open(address);
  try {
    const before = new Set(threadIds());
    const { instance, info } = await open(mailboxPath, session, calls);
    opened = { instance, channel, info };
    // Its process is killed in the end, and threads have a part of the cache each.
    flushCompileCache();
    // This thread runs the session; the session has just started the threads of its pools.
    const own = ownThreadId();
    const threads = own === undefined ? [] : [own, ...threadIds().filter((id) => id !== own && !before.has(id))];
    return { info, threads };
  } catch (error) {
    channel.close();
    throw error;
  }
}

/** Answers runs, one after the other. Resolves when the gateway has ended the channel and the instance is unloaded. */
export async function serve(): Promise<void> {
  if (opened === undefined) throw new Error('serve before load');
  const { instance, channel, info } = opened;
  const outputs = tensorNumbers(info.outputs);
  const writer = new FrameWriter();
  try {
    for (let frame = await channel.receive(); frame !== undefined; frame = await channel.receive()) {
      const outcome = await attempt(instance, frame.run(info.inputs));
      channel.send(writer.outcome(outcome, outputs));
    }
  } finally {
    channel.close();
    await instance.unload();
  }
}

/** A thread of a step does not load ONNX Runtime, and one of a model loads no step. */
async function open(
  mailboxPath: string,
  spec: SessionSpec,
  calls: ChannelAddress | undefined,
): Promise<Pick<Opened, 'instance' | 'info'>> {
  if (spec.step === undefined) {
    const instance = await import('./model-instance.ts');
    return { instance, info: await instance.load({ mailboxPath, spec }) };
  }
  const instance = await import('./step-instance.ts');
  return { instance, info: await instance.load({ mailboxPath, spec, calls }) };
}

async function attempt(instance: Instance, run: Run): Promise<ReportedOutcome> {
  try {
    return await instance.run(run);
  } catch (thrown) {
    return outcomeOf(thrown);
  }
}
