/**
 * Properties of onnxruntime-node that `src/worker` relies on. Its next version makes `run` asynchronous,
 * and copies inputs: before the pinned version moves, the code behind each of these tests has to change.
 */

import { InferenceSession, type OnnxValue } from 'onnxruntime-node';
import { expect, onTestFinished, test } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { constantModel, identityModel, shapeModel, slowModel } from '../support/onnx-models.ts';

async function open(model: Uint8Array): Promise<InferenceSession> {
  const session = await InferenceSession.create(model, { intraOpNumThreads: 1, interOpNumThreads: 1 });
  onTestFinished(() => session.release());
  return session;
}

/** A tensor as `model-instance.ts` makes it. */
function fp32(data: Float32Array, dims: readonly number[]): OnnxValue {
  return { type: 'float32', data, dims, location: 'cpu' } as unknown as OnnxValue;
}

function floatsOf(value: OnnxValue | undefined): Float32Array {
  const data: unknown = value?.data;
  if (data instanceof Float32Array) return data;
  throw new TypeError('no tensor of float32');
}

test('the version is pinned exactly', () => {
  expect(packageJson.devDependencies['onnxruntime-node']).toBe('1.30.0');
});

test('a run blocks its thread: the thread that serves an instance needs no queue, and its CPU time is the time of the run', async () => {
  const session = await open(slowModel(3_000));
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  const usage = process.threadCpuUsage();
  await session.run({ input: fp32(new Float32Array(1), [1, 1]) });
  const { user, system } = process.threadCpuUsage(usage);
  clearInterval(timer);
  expect((user + system) / 1_000).toBeGreaterThan(20);
  expect(turns).toBeLessThanOrEqual(2);
});

test('inputs are read in place when the run begins, not copied when it is asked for', async () => {
  const session = await open(identityModel('FP32'));
  const input = Float32Array.of(1, 2, 3, 4);
  const running = session.run({ input: fp32(input, [1, 4]) });
  input[0] = 5;
  expect([...floatsOf((await running)['output'])]).toEqual([5, 2, 3, 4]);
});

test('inputs are not copied by the run either: the shape of 256 MiB takes hardly any CPU', async () => {
  const session = await open(shapeModel());
  const columns = 64 * 2 ** 20;
  const input = new Float32Array(columns);
  let leastMs = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < 5; attempt++) {
    const usage = process.cpuUsage();
    await session.run({ input: fp32(input, [1, columns]) });
    const { user, system } = process.cpuUsage(usage);
    leastMs = Math.min(leastMs, (user + system) / 1_000);
  }
  // A copy takes 25 ms at 10 GB/s.
  expect(leastMs).toBeLessThan(10);
});

test('a returned output is its own: writing to it changes neither constants of the session, nor inputs, nor later outputs', async () => {
  const constant = await open(constantModel([7, 8]));
  const input = Float32Array.of(1);
  const first = floatsOf((await constant.run({ input: fp32(input, [1, 1]) }))['output']);
  first.fill(0);
  const second = floatsOf((await constant.run({ input: fp32(input, [1, 1]) }))['output']);
  expect([...second]).toEqual([7, 8]);
  expect([...first]).toEqual([0, 0]);

  const identity = await open(identityModel('FP32'));
  const row = Float32Array.of(1, 2, 3, 4);
  floatsOf((await identity.run({ input: fp32(row, [1, 4]) }))['output']).fill(0);
  expect([...row]).toEqual([1, 2, 3, 4]);
});

test('the memory of an output may be freed at once, and the session goes on', async () => {
  const session = await open(identityModel('FP32'));
  const row = Float32Array.of(1, 2, 3, 4);
  for (let run = 0; run < 100; run++) {
    const output = floatsOf((await session.run({ input: fp32(row, [1, 4]) }))['output']);
    expect([...output]).toEqual([...row]);
    (output.buffer as ArrayBuffer).transfer(0);
  }
});
