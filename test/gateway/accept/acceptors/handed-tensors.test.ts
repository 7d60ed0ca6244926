/** Large tensors that lie in files of an acceptor: the owner of the calls holds them there, whatever becomes of the acceptor. */

import type { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { acceptorsListener } from '../../../../src/gateway/accept/acceptors/acceptors.ts';
import type { Method, StreamingCall, Transport, UnaryCall } from '../../../../src/gateway/accept/call.ts';
import { BorrowedTensors } from '../../../../src/gateway/landing/borrowed-tensors.ts';
import { MAILBOX_DIRECTORY } from '../../../../src/mailbox-directory.ts';
import { encodeInferRequest } from '../../../../src/wire/infer-request.ts';
import { isLanded, type LandedBytes, releaseAll, type TensorBytes } from '../../../../src/wire/tensor-bytes.ts';
import { LandedInputs } from '../../../../src/worker/landed-inputs.ts';
import { inferInput, inferRequest } from '../../../support/infer-requests.ts';
import { memoryOfFiles } from '../../../support/landed-memory.ts';
import { TRANSPORT_OPTIONS } from '../../../support/transport-options.ts';
import { RawClient } from '../raw-client.ts';

const METHOD = '/t/Method';
const BYTES = 100_000;

let transport: Transport | undefined;
let client: RawClient | undefined;
let workers: Worker[];
let stopWatching: () => void;

beforeEach(() => {
  workers = [];
  const note = (worker: Worker): void => void workers.push(worker);
  process.on('worker', note);
  stopWatching = () => process.off('worker', note);
});

afterEach(async () => {
  client?.close();
  await transport?.drain(0);
  stopWatching();
});

async function connect(method: Method): Promise<RawClient> {
  const listen = acceptorsListener({ count: 1, landingDirectory: MAILBOX_DIRECTORY });
  transport = await listen(TRANSPORT_OPTIONS, new Map([[METHOD, method]]));
  client = new RawClient(transport.port);
  return client;
}

function bytesOfTensor(seed: number): Buffer {
  return Buffer.from(Uint8Array.from({ length: BYTES }, (_, at) => seed + at * 7));
}

function messageOf(seed: number): Buffer {
  const inputs = [inferInput('x', 'UINT8', [BYTES]), inferInput('y', 'UINT8', [3])];
  const rawInputContents = [bytesOfTensor(seed), Buffer.from([1, 2, seed])];
  return Buffer.concat(encodeInferRequest(inferRequest({ modelName: 'm', inputs, rawInputContents })));
}

function until(isSo: () => boolean): Promise<unknown> {
  return vi.waitUntil(isSo, { timeout: 40_000, interval: 10 });
}

/** Whatever landed here is gone from its file. */
function untilEmpty(): Promise<unknown> {
  return until(() => memoryOfFiles(process.pid).every((bytes) => bytes === 0));
}

function landedIn(tensors: readonly TensorBytes[] | undefined): LandedBytes {
  const landed = tensors?.find(isLanded);
  if (landed === undefined) throw new Error('no tensor has landed');
  return landed;
}

/** The number by which a message was made: its second tensor, which is too small for a file, ends with it. */
function seedOf(tensors: readonly TensorBytes[] | undefined): number {
  const small = tensors?.[1];
  if (!(small instanceof Uint8Array)) throw new Error('no tensor in memory');
  return small[2] ?? -1;
}

/** As a runner reads it, which keeps the file open. */
function readAsRunner(tensor: LandedBytes): Buffer {
  const place = tensor.lend();
  if (place === undefined) throw new Error('in memory');
  const runner = new LandedInputs();
  onTestFinished(() => runner.close());
  const target = Buffer.alloc(tensor.byteLength);
  runner.readSync(place.file, place.offset, target);
  tensor.giveBack();
  return target;
}

/** A server that holds each call until its client is done with it. */
async function holdCalls(count: number): Promise<{ calls: readonly UnaryCall[]; outcomes: Promise<unknown>[] }> {
  const calls: UnaryCall[] = [];
  const raw = await connect({ kind: 'unary', landsTensors: true, handle: (call) => void calls.push(call) });
  const outcomes = Array.from({ length: count }, (_, seed) => raw.unary(METHOD, messageOf(seed)));
  await until(() => calls.length === count);
  return { calls, outcomes };
}

test('a runner reads a large tensor where it landed, small ones beside it come in memory, and the room is free once they are released', async () => {
  const { calls, outcomes } = await holdCalls(5);
  const seeds = calls.map(({ tensors }) => {
    expect(readAsRunner(landedIn(tensors))).toEqual(bytesOfTensor(seedOf(tensors)));
    return seedOf(tensors);
  });
  expect(seeds.toSorted()).toEqual([0, 1, 2, 3, 4]);
  expect(Math.max(...memoryOfFiles(process.pid))).toBeGreaterThanOrEqual(5 * BYTES);
  for (const call of calls) {
    releaseAll(call.tensors ?? []);
    call.reply([]);
    call.discardMessage();
  }
  await Promise.all(outcomes);
  await untilEmpty();
  expect(BorrowedTensors.in(MAILBOX_DIRECTORY).size).toBe(0);
});

test('the tensors of an acceptor that has ended stay where they are, and their file holds no memory after the last of them', async () => {
  const { calls } = await holdCalls(2);
  await workers[0]?.terminate();
  await until(() => calls.every(({ cancelled }) => cancelled));
  const [one, other] = calls.map(({ tensors }) => landedIn(tensors));
  if (one === undefined || other === undefined) throw new Error('two calls');
  expect(readAsRunner(one)).toEqual(bytesOfTensor(seedOf(calls[0]?.tensors)));
  one.release();
  expect(other.read()).toEqual(bytesOfTensor(seedOf(calls[1]?.tensors)));
  other.release();
  expect(memoryOfFiles(process.pid).filter((bytes) => bytes > 0)).toEqual([]);
});

test('tensors that no run reads move into memory where batches need the room, and the acceptor frees it', async () => {
  const { calls, outcomes } = await holdCalls(2);
  const borrowed = BorrowedTensors.in(MAILBOX_DIRECTORY);
  const [kept, moved] = calls.map(({ tensors }) => landedIn(tensors));
  if (kept === undefined || moved === undefined) throw new Error('two calls');
  kept.lend();
  borrowed.evacuate();
  expect([kept.lend() === undefined, moved.lend() === undefined]).toEqual([false, true]);
  expect(moved.read()).toHaveLength(BYTES);
  kept.giveBack();
  kept.giveBack();
  // Until the acceptor has answered, a batch may hope for room.
  await until(() => borrowed.lentBytes === 0);
  let notices = 0;
  borrowed.onFree = () => notices++;
  for (const call of calls) {
    releaseAll(call.tensors ?? []);
    call.reply([]);
  }
  await Promise.all(outcomes);
  await untilEmpty();
  expect(notices).toBe(1);
});

test('the tensors of messages that wait in a stream are released when it ends', async () => {
  const calls: StreamingCall[] = [];
  let received = 0;
  const raw = await connect({
    kind: 'streaming',
    landsTensors: true,
    handle: (call) => {
      calls.push(call);
      call.onMessage = (_, tensors = []) => {
        received++;
        expect(landedIn(tensors).read()).toEqual(bytesOfTensor(seedOf(tensors)));
        releaseAll(tensors);
        call.pause();
      };
    },
  });
  const stream = raw.stream(METHOD);
  stream.on('error', () => {});
  for (const seed of [1, 2, 3]) stream.write(messageOf(seed));
  await until(() => received === 1 && BorrowedTensors.in(MAILBOX_DIRECTORY).size > 0);
  stream.cancel();
  await until(() => calls[0]?.cancelled === true);
  await untilEmpty();
  expect([received, BorrowedTensors.in(MAILBOX_DIRECTORY).size]).toEqual([1, 0]);
});
