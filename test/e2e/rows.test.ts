/** Whatever shares a batch, each caller gets its own rows: many callers at a time, of unlike shapes and sizes. */

import { expect, test } from 'vitest';
import { InferenceClient, type ModelStatistics, tensor } from '../../src/client/inference-client.ts';
import { seededRandom } from '../../src/gateway/models/trial/synthetic-input.ts';
import { bytesOf } from '../support/bytes-of.ts';
import { identityModel, mlpModel, rowReversingModel } from '../support/onnx-models.ts';
import { Repository } from '../support/repository.ts';
import { startServer } from '../support/server.ts';

const CALLERS = 64;
const REQUESTS_OF_EACH = 60;
const MAX_ROWS = 5;
/** Each is a bucket of its own. */
const WIDTHS = [1, 2, 3, 7] as const;

/** Rows as they are sent, and as they are to come back: integers below 2^24, which FP32 holds exactly. */
interface Exchange {
  readonly rows: number;
  readonly width: number;
  readonly sent: Float32Array;
  readonly wanted: Float32Array;
}

type MakeExchange = (caller: number, random: () => number) => Exchange;

/** Elements that no other request has: the sender, and the position in its request. */
function echo(caller: number, random: () => number): Exchange {
  const rows = 1 + Math.floor(random() * MAX_ROWS);
  const width = WIDTHS[Math.floor(random() * WIDTHS.length)] ?? 1;
  const salt = Math.floor(random() * 4_096);
  const sent = Float32Array.from({ length: rows * width }, (_, index) => (caller * 4_096 + salt) * 40 + index);
  return { rows, width, sent, wanted: sent };
}

/** The multilayer perceptron of the tests, computed here. */
function perceptron(_caller: number, random: () => number): Exchange {
  const rows = 1 + Math.floor(random() * MAX_ROWS);
  const sent = Float32Array.from({ length: rows * 4 }, () => Math.floor(random() * 2_000) - 1_000);
  const wanted = new Float32Array(rows * 3);
  for (let row = 0; row < rows; row++) {
    for (let hidden = 0; hidden < 8; hidden++) {
      let sum = 0;
      for (let k = 0; k < 4; k++) sum += (sent[row * 4 + k] ?? 0) * (((k * 8 + hidden) % 7) - 3);
      for (let k = 0; k < 3; k++) wanted[row * 3 + k]! += Math.max(0, sum) * (((hidden * 3 + k) % 5) - 2);
    }
  }
  return { rows, width: 4, sent, wanted };
}

interface Outcome {
  /** Requests that were answered with rows other than their own. */
  readonly foreign: number;
  readonly statistics: ModelStatistics;
}

/** Callers with a connection each, who send one request after another. */
async function exchangeRows(target: string, model: string, make: MakeExchange): Promise<Outcome> {
  let foreign = 0;
  const call = async (caller: number): Promise<void> => {
    using client = new InferenceClient(target, { deadlineMs: 60_000 });
    const random = seededRandom(caller + 1);
    for (let request = 0; request < REQUESTS_OF_EACH; request++) {
      const { rows, width, sent, wanted } = make(caller, random);
      const { outputs } = await client.infer(model, { input: tensor.fp32(sent, [rows, width]) });
      const output = outputs.get('output');
      if (output?.datatype !== 'FP32' || output.shape[0] !== rows) foreign++;
      else if (Buffer.compare(bytesOf(output.data), bytesOf(wanted)) !== 0) foreign++;
    }
  };
  await Promise.all(Array.from({ length: CALLERS }, (_, caller) => call(caller)));
  using client = new InferenceClient(target);
  const [statistics] = await client.modelStatistics(model);
  if (statistics === undefined) throw new Error(`${model} has no statistics`);
  return { foreign, statistics };
}

test(`${CALLERS} callers of one model get their own rows, whatever shapes they interleave, and share batches`, async () => {
  using repository = new Repository({ echo: identityModel('FP32', ['batch', 'width']), mlp: mlpModel() });
  await using server = await startServer(repository.directory, { flags: ['--log-level', 'error'] });
  for (const [model, make] of [
    ['echo', echo],
    ['mlp', perceptron],
  ] as const) {
    const { foreign, statistics } = await exchangeRows(server.grpc, model, make);
    expect(foreign).toBe(0);
    const { inferenceCount, executionCount, inferenceStats, batchStats } = statistics;
    expect(inferenceStats?.success.count).toBe(CALLERS * REQUESTS_OF_EACH);
    const requestsOfABatch = (CALLERS * REQUESTS_OF_EACH) / executionCount;
    console.log(
      `${model}: ${requestsOfABatch.toFixed(1)} requests, ${(inferenceCount / executionCount).toFixed(1)} rows a batch`,
    );
    expect(requestsOfABatch).toBeGreaterThan(1.2);
    expect(Math.max(...batchStats.map(({ batchSize }) => batchSize))).toBeGreaterThan(MAX_ROWS);
  }
});

test('the check itself notices rows that change places, in a model that reverses its batch', async () => {
  using repository = new Repository({
    reverser: { versions: { 1: rowReversingModel() }, config: { tensorgate: { row_independence: 'assume' } } },
  });
  await using server = await startServer(repository.directory, { flags: ['--log-level', 'error'] });
  // One row each: by itself in its batch, it would be right.
  const { foreign, statistics } = await exchangeRows(server.grpc, 'reverser', (caller) => {
    const sent = Float32Array.of(caller, -caller);
    return { rows: 1, width: 2, sent, wanted: sent };
  });
  expect(statistics.executionCount).toBeLessThan(CALLERS * REQUESTS_OF_EACH);
  expect(foreign).toBeGreaterThan(CALLERS);
});

test('such a model is not batched unless its configuration insists', async () => {
  using repository = new Repository({ reverser: rowReversingModel() });
  await using server = await startServer(repository.directory, { flags: ['--log-level', 'error'] });
  expect(server.lines).toContainEqual(expect.stringMatching(/^reverser .*batching off: rows are not independent/));
  using client = new InferenceClient(server.grpc);
  const { data } = (await client.infer('reverser', { input: tensor.fp32([1, 2, 3], [3, 1]) })).output('output', 'FP32');
  expect([...data]).toEqual([3, 2, 1]);
});
