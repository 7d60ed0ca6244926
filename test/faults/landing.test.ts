/** Large tensors that lie in landing files while something goes wrong: callers get their own answers, and no file keeps anything. */

import http2 from 'node:http2';
import { afterEach, expect, test, vi } from 'vitest';
import { InferenceClient, tensor } from '../../src/client/inference-client.ts';
import { encodeInferRequest } from '../../src/wire/infer-request.ts';
import { bytesOf } from '../support/bytes-of.ts';
import { inferInput, inferRequest } from '../support/infer-requests.ts';
import { memoryOfFiles, untilNothingLanded } from '../support/landed-memory.ts';
import { identityModel, loopModel } from '../support/onnx-models.ts';
import { useServer } from '../support/server-fixture.ts';
import { INFERENCE } from '../support/stock-client.ts';
import { killInBatch } from './stall.ts';

const COLUMNS = 150_528;
const AT_ONCE = 12;
const ONE = { instance_group: [{ count: 1 }] };

const fixture = useServer({
  // `killInBatch` kills the runner of the first model.
  identity: { versions: { 1: identityModel('FP32', ['batch', COLUMNS]) }, config: ONE },
  loop: { versions: { 1: loopModel() }, config: ONE },
});

afterEach(() => untilNothingLanded(fixture.server.pid));

function rowOf(seed: number): Float32Array {
  return Float32Array.from({ length: COLUMNS }, (_, index) => seed * 1_000_000 + index);
}

/** Asks for a row again and again until `isOver`, and compares each answer with it. @returns how many there were */
async function ask(client: InferenceClient, seed: number, isOver: () => boolean): Promise<number> {
  const row = rowOf(seed);
  let answers = 0;
  while (!isOver()) {
    const answer = await client.infer('identity', { input: tensor.fp32(row, [1, COLUMNS]) });
    expect(Buffer.compare(bytesOf(answer.output('output', 'FP32').data), bytesOf(row))).toBe(0);
    answers++;
  }
  return answers;
}

test('a runner that is killed while its batch lies in a landing file costs no request', {
  timeout: 120_000,
}, async () => {
  using client = new InferenceClient(fixture.server.grpc, { deadlineMs: 60_000 });
  let kills = 0;
  const callers = Array.from({ length: AT_ONCE }, (_, seed) => ask(client, seed, () => kills === 3));
  for (; kills < 3; kills++) await killInBatch(fixture.server, 'SIGKILL', ({ running }) => running > 0);
  expect(Math.min(...(await Promise.all(callers)))).toBeGreaterThan(0);
});

test('clients that go away in the middle of their tensors leave nothing behind', { timeout: 60_000 }, async () => {
  const request = inferRequest({
    modelName: 'identity',
    inputs: [inferInput('input', 'FP32', [1, COLUMNS])],
    rawInputContents: [bytesOf(rowOf(1))],
  });
  const message = Buffer.concat(encodeInferRequest(request));
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.byteLength, 1);
  const sessions = Array.from({ length: 4 }, () => http2.connect(`http://${fixture.server.grpc}`));
  for (const session of sessions) {
    session.on('error', () => {});
    const stream = session.request({
      ':method': 'POST',
      ':path': `/${INFERENCE}/ModelInfer`,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    stream.on('error', () => {});
    stream.write(Buffer.concat([prefix, message.subarray(0, 400_000)]));
  }
  const landed = (): number => memoryOfFiles(fixture.server.pid).reduce((sum, bytes) => sum + bytes, 0);
  await vi.waitUntil(() => landed() > 4 * 300_000, { timeout: 20_000, interval: 5 });
  for (const session of sessions) session.destroy();
  await untilNothingLanded(fixture.server.pid);
  using client = new InferenceClient(fixture.server.grpc, { deadlineMs: 60_000 });
  let asked = 0;
  expect(await ask(client, 7, () => asked++ > 0)).toBe(1);
});

test('calls that are cancelled while they wait and while they run give their room back', {
  timeout: 60_000,
}, async () => {
  using client = new InferenceClient(fixture.server.grpc, { deadlineMs: 60_000 });
  for (const patienceMs of [1, 5, 20, 60]) {
    const calls = Array.from({ length: AT_ONCE }, (_, seed) =>
      client.infer(
        'identity',
        { input: tensor.fp32(rowOf(seed), [1, COLUMNS]) },
        { signal: AbortSignal.timeout(patienceMs + seed) },
      ),
    );
    await Promise.allSettled(calls);
  }
  await untilNothingLanded(fixture.server.pid);
  let asked = 0;
  expect(await ask(client, 3, () => asked++ > 0)).toBe(1);
});
