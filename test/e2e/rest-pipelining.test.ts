/** HTTP/1.1 pipelining against a whole server: inferences share batches, and a sequence stays in its order. */

import { expect, onTestFinished, test, vi } from 'vitest';
import { head, RawConnection } from '../gateway/accept/http/raw-http.ts';
import { accumulatorModel, slowModel } from '../support/onnx-models.ts';
import { useServer } from '../support/server-fixture.ts';

const TOTAL = { input_name: 'total', output_name: 'total_out', data_type: 'TYPE_FP32', dims: [1] };
const X = { name: 'x', data_type: 'TYPE_FP32', dims: [1] };
const SUM = { name: 'sum', data_type: 'TYPE_FP32', dims: [1] };

const fixture = useServer({
  // Slow enough that what comes behind the first request waits for it.
  slow: { versions: { 1: slowModel(400) }, config: { max_batch_size: 16, instance_group: [{ count: 1 }] } },
  counting: { versions: { 1: accumulatorModel() }, config: { sequence_batching: { oldest: {}, state: [TOTAL] } } },
  steps: {
    versions: { 1: undefined },
    config: {
      platform: 'ensemble',
      max_batch_size: 4,
      input: [X],
      output: [SUM],
      ensemble_scheduling: {
        step: [{ model_name: 'counting', input_map: { x: 'x' }, output_map: { sum: 'sum' } }],
      },
    },
  },
});

async function connect(): Promise<RawConnection> {
  const connection = await RawConnection.open(Number(new URL(fixture.server.http).port));
  onTestFinished(() => connection[Symbol.dispose]());
  return connection;
}

function infer(model: string, input: string, value: number, parameters: object = {}, blanks = 0): string {
  const inputs = [{ name: input, datatype: 'FP32', shape: [1, 1], data: [value] }];
  const body = ' '.repeat(blanks) + JSON.stringify({ parameters, inputs });
  return head('POST', `/v2/models/${model}/infer`, { 'content-length': body.length }) + body;
}

/** The values that have been answered. */
function values({ received }: RawConnection): readonly number[] {
  return [...received.matchAll(/"data":\[([^\]]+)\]/g)].map(([, value]) => Number(value));
}

interface Statistics {
  readonly model_stats: readonly [{ readonly inference_count: number; readonly execution_count: number }];
}

async function counts(): Promise<{ readonly inferences: number; readonly runs: number }> {
  const response = await fetch(`${fixture.server.http}/v2/models/slow/stats`);
  const { model_stats: stats } = (await response.json()) as Statistics;
  return { inferences: stats[0].inference_count, runs: stats[0].execution_count };
}

test('inferences of one connection share batches, and each gets its own answer in its turn', async () => {
  const connection = await connect();
  const before = await counts();
  const sent = Array.from({ length: 16 }, (_, index) => index / 4);
  connection.send(sent.map((value) => infer('slow', 'input', value)).join(''));
  await vi.waitUntil(() => values(connection).length === 16, { timeout: 20_000 });
  expect(connection.codes).toEqual(sent.map(() => 200));
  const other = await connect();
  for (const [index, value] of sent.entries()) {
    other.send(infer('slow', 'input', value));
    await vi.waitUntil(() => values(other).length === index + 1, { timeout: 20_000 });
  }
  expect(values(connection)).toEqual(values(other));
  const { inferences, runs } = await counts();
  expect(inferences - before.inferences).toBe(32);
  // One by one they are 16 runs. When the first of the others has run, the rest waits to be run together.
  expect(runs - before.runs).toBeLessThan(16 + 8);
});

test.each(['counting', 'steps'])(
  'a sequence of %s stays in its order, whatever its requests take to be read',
  async (model) => {
    const connection = await connect();
    const requests = Array.from({ length: 24 }, (_, index) => {
      const flags = { sequence_id: `pipelined ${model}`, sequence_start: index === 0, sequence_end: index === 23 };
      // Every other body takes many times as long to read.
      return infer(model, 'x', index, flags, index % 2 === 0 ? 500_000 : 0);
    });
    connection.send(requests.join(''));
    await vi.waitUntil(() => values(connection).length === 24, { timeout: 20_000 });
    expect(values(connection)).toEqual(requests.map((_, index) => (index * (index + 1)) / 2));
  },
);
