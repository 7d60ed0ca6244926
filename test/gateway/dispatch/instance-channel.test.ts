import { once } from 'node:events';
import net from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { ChannelListener } from '../../../src/gateway/dispatch/channel-listener.ts';
import { InstanceChannel } from '../../../src/gateway/dispatch/instance-channel.ts';
import { RunWatch } from '../../../src/gateway/dispatch/run-watch.ts';
import type { RunnerEnd } from '../../../src/gateway/dispatch/runner-end.ts';
import { ANY_OUTPUT_BYTES, type Run, type SessionInfo, type SessionTensor } from '../../../src/worker/protocol.ts';
import { FrameError, FrameReader, FrameWriter, tensorNumbers } from '../../../src/worker/run-frame.ts';
import type { ReportedOutcome } from '../../../src/worker/run-outcome.ts';
import { PATIENCE_MS } from '../../support/runners.ts';

const TENSOR: SessionTensor = { name: 'x', datatype: 'FP32', shape: [-1, 2], axes: ['batch', 2] };
const INFO: SessionInfo = { inputs: [TENSOR], outputs: [TENSOR], provider: 'cpu', refusals: [] };
const PLACE = { name: 'x', datatype: 'FP32', shape: [1, 2], offset: 0, byteLength: 8 } as const;
const RUN: Run = { inputs: [PLACE], outputOffset: 64, maxOutputBytes: ANY_OUTPUT_BYTES };
const REPORT: ReportedOutcome = {
  kind: 'ok',
  outputs: [{ ...PLACE, offset: 64 }],
  computeMs: 1,
  readMs: 2,
  writeMs: 3,
};

/** A channel, and at its other end a thread that says what the test wants. */
async function channelAndThread(): Promise<{
  readonly channel: InstanceChannel;
  readonly thread: net.Socket;
  readonly killed: Promise<RunnerEnd>;
}> {
  const listener = await ChannelListener.open();
  const thread = net.connect(listener.address.path);
  onTestFinished(() => void thread.destroy());
  thread.write(Buffer.from(listener.address.key, 'hex'));
  await once(thread, 'data');
  listener.close();
  const { socket } = listener;
  if (socket === undefined) throw new Error('no connection');
  const { promise: killed, resolve } = Promise.withResolvers<RunnerEnd>();
  const watched = { memory: () => 0, activity: () => Promise.resolve(undefined), kill: resolve };
  const channel = new InstanceChannel(socket, INFO, new RunWatch(1, watched, false), resolve);
  onTestFinished(() => channel.end({ cause: 'the test is over', timedOut: false }));
  return { channel, thread, killed };
}

function encoded(report: ReportedOutcome): Uint8Array {
  return new FrameWriter().outcome(report, tensorNumbers(INFO.outputs));
}

test('a run goes out, and its report settles it', async () => {
  const { channel, thread } = await channelAndThread();
  const reply = channel.run(RUN, { maxMs: PATIENCE_MS });
  const [bytes] = (await once(thread, 'data')) as [Buffer];
  expect(new FrameReader().push(bytes)?.run(INFO.inputs)).toEqual(RUN);
  const report = encoded(REPORT);
  thread.write(report.slice(0, 11));
  thread.write(report.slice(11));
  expect(await reply).toEqual(REPORT);
});

test('CHANNEL-1: a second run beside one is a fault of ours, and does not disturb it', async () => {
  const { channel, thread } = await channelAndThread();
  const first = channel.run(RUN, { maxMs: PATIENCE_MS });
  expect(await channel.run(RUN, { maxMs: PATIENCE_MS })).toMatchObject({ kind: 'failed' });
  thread.write(encoded(REPORT));
  expect(await first).toEqual(REPORT);
});

test('a run of a tensor that the session does not have is a fault of ours, and the next one is fine', async () => {
  const { channel, thread } = await channelAndThread();
  const odd: Run = { ...RUN, inputs: [{ ...PLACE, name: 'nobody' }] };
  expect(await channel.run(odd, { maxMs: PATIENCE_MS })).toMatchObject({
    kind: 'failed',
    error: new FrameError("the session has no tensor 'nobody'"),
  });
  const reply = channel.run(RUN, { maxMs: PATIENCE_MS });
  thread.write(encoded(REPORT));
  expect(await reply).toEqual(REPORT);
});

test.each([
  ['that is no frame', Buffer.alloc(64, 0xff)],
  ['with something behind it', Buffer.concat([encoded(REPORT), Buffer.alloc(8)])],
  ['of bytes that are not those of its shape', malformed(8, 9)],
  ['of a tensor that there is not', malformed(6, 3)],
])('a report %s ends the process, and with it the run', async (_, bytes) => {
  const { channel, thread, killed } = await channelAndThread();
  const reply = channel.run(RUN, { maxMs: PATIENCE_MS });
  thread.write(bytes);
  const end = await killed;
  expect(end).toEqual({ cause: expect.stringContaining('sent a malformed frame: '), timedOut: false });
  // Later bytes are not looked at.
  thread.write(encoded(REPORT));
  channel.end(end);
  expect(await reply).toEqual({ kind: 'crashed', cause: end.cause });
});

test('an outcome without a run ends the process', async () => {
  const { thread, killed } = await channelAndThread();
  thread.write(encoded(REPORT));
  expect((await killed).cause).toContain('an outcome without a run');
});

test('no report within the limit ends the process', async () => {
  const { channel, killed } = await channelAndThread();
  void channel.run(RUN, { maxMs: 50 });
  expect(await killed).toEqual({ cause: 'no answer within 50 ms', timedOut: true });
});

test('a thread that ends by itself ends the process, idle or in a run', async () => {
  const idle = await channelAndThread();
  idle.thread.destroy();
  expect(await idle.killed).toEqual({ cause: 'a thread of it ended', timedOut: false });
  const busy = await channelAndThread();
  const reply = busy.channel.run(RUN, { maxMs: PATIENCE_MS });
  busy.thread.destroy();
  busy.channel.end(await busy.killed);
  expect(await reply).toEqual({ kind: 'crashed', cause: 'a thread of it ended' });
});

test('CHANNEL-2: a process that dies settles its run with the cause of its death, which closes the channel a moment before', async () => {
  const { channel, thread } = await channelAndThread();
  const reply = channel.run(RUN, { maxMs: PATIENCE_MS });
  const closed = once(thread.resume(), 'close');
  thread.destroy();
  await closed;
  channel.end({ cause: 'killed by SIGSEGV', timedOut: false });
  expect(await reply).toEqual({ kind: 'crashed', cause: 'killed by SIGSEGV' });
});

test('closing it notifies the thread, and kills nothing', async () => {
  const { channel, thread, killed } = await channelAndThread();
  const closed = once(thread.resume(), 'close');
  channel.close();
  await closed;
  channel.end({ cause: 'the test says so', timedOut: false });
  expect(await Promise.race([killed, Promise.resolve('not killed')])).toBe('not killed');
});

/** A report with one of its doubles changed. */
function malformed(index: number, value: number): Uint8Array {
  const words = new Float64Array(encoded(REPORT).slice().buffer);
  words[index] = value;
  return new Uint8Array(words.buffer);
}
