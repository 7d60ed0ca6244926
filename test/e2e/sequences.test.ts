/** Stateful models over gRPC: what a client sees of sequences, and what it does not see of their state. */

import { describe, expect, test, vi } from 'vitest';
import { InferenceClient, type InferenceResult, tensor } from '../../src/client/inference-client.ts';
import { readMetrics } from '../faults/observation.ts';
import { untilHeld } from '../faults/stall.ts';
import { accumulatorModel, layeredAccumulatorModel, type Port, passThroughModel } from '../support/onnx-models.ts';
import { stopProcess } from '../support/process-tree.ts';
import { Repository } from '../support/repository.ts';
import { startServer } from '../support/server.ts';
import { useServer } from '../support/server-fixture.ts';
import type { Message } from '../support/stock-client.ts';

const TOTAL = { input_name: 'total', output_name: 'total_out', data_type: 'TYPE_FP32', dims: [1] };
const SEQUENCES = { max_sequence_idle_microseconds: 60_000_000, state: [TOTAL] };
const MEMORY = { input_name: 'memory', output_name: 'memory_out', data_type: 'TYPE_FP32', dims: [2, 3] };

const ONE_INSTANCE = { instance_group: [{ count: 1 }] };

const port = (name: string, datatype: Port['datatype']): Port => ({ name, datatype, axes: ['batch', 1] });

const fixture = useServer({
  oldest: {
    versions: { 1: accumulatorModel() },
    config: { sequence_batching: { ...SEQUENCES, oldest: { max_candidate_sequences: 4 } } },
  },
  direct: {
    versions: { 1: accumulatorModel() },
    config: {
      max_batch_size: 4,
      ...ONE_INSTANCE,
      sequence_batching: {
        ...SEQUENCES,
        direct: { minimum_slot_utilization: 0.5, max_queue_delay_microseconds: 5_000 },
      },
    },
  },
  // Without a batch axis: one request a run.
  whole: {
    versions: { 1: accumulatorModel() },
    config: {
      max_batch_size: 0,
      sequence_batching: { ...SEQUENCES, state: [{ ...TOTAL, dims: [1, 1] }] },
    },
  },
  shown: {
    versions: { 1: accumulatorModel() },
    config: {
      output: [{ name: 'total_out' }],
      sequence_batching: {
        ...SEQUENCES,
        state: [
          { ...TOTAL, initial_state: [{ name: 'eight', data_type: 'TYPE_FP32', dims: [1], data_file: 'eight' }] },
        ],
      },
    },
    // 8 as a little-endian float.
    files: { 'initial_state/eight': '\0\0\0A' },
  },
  layered: {
    versions: { 1: layeredAccumulatorModel() },
    config: {
      max_batch_size: 8,
      ...ONE_INSTANCE,
      sequence_batching: { ...SEQUENCES, state: [MEMORY] },
      tensorgate: { batch_axes: { scale: 'none' } },
    },
  },
  brief: {
    versions: { 1: accumulatorModel() },
    config: { sequence_batching: { ...SEQUENCES, max_sequence_idle_microseconds: 1_000 } },
  },
  controls: {
    versions: {
      1: passThroughModel([
        port('x', 'FP32'),
        port('start', 'FP32'),
        port('end', 'INT32'),
        port('ready', 'BOOL'),
        port('id', 'INT64'),
      ]),
    },
    config: {
      sequence_batching: {
        control_input: [
          { name: 'start', control: [{ kind: 'CONTROL_SEQUENCE_START', fp32_false_true: [0, 2.5] }] },
          { name: 'end', control: [{ kind: 'CONTROL_SEQUENCE_END', int32_false_true: [-1, 1] }] },
          { name: 'ready', control: [{ kind: 'CONTROL_SEQUENCE_READY', bool_false_true: [false, true] }] },
          { name: 'id', control: [{ kind: 'CONTROL_SEQUENCE_CORRID', data_type: 'TYPE_INT64' }] },
        ],
      },
    },
  },
});

type Flags = { readonly start?: boolean; readonly end?: boolean };

function parametersOf(
  id: number | string,
  { start = false, end = false }: Flags,
): Record<string, number | string | boolean> {
  return { sequence_id: id, sequence_start: start, sequence_end: end };
}

function client(): InferenceClient {
  return new InferenceClient(fixture.server.grpc);
}

function ask(
  from: InferenceClient,
  model: string,
  id: number | string,
  x: number,
  flags: Flags = {},
): Promise<InferenceResult> {
  const inputs = { x: tensor.fp32([x], [1, 1]) };
  return from.infer(model, inputs, { parameters: parametersOf(id, flags) });
}

async function sumOf(answer: Promise<InferenceResult>): Promise<number | undefined> {
  return (await answer).output('sum', 'FP32').data[0];
}

/** The same as a message. */
function request(model: string, id: number | string, x: number, flags: Flags = {}): Message {
  const parameters = {
    sequence_id: typeof id === 'string' ? { string_param: id } : { int64_param: id },
    sequence_start: { bool_param: flags.start === true },
    sequence_end: { bool_param: flags.end === true },
  };
  const raw = Buffer.alloc(4);
  raw.writeFloatLE(x);
  return {
    model_name: model,
    parameters,
    inputs: [{ name: 'x', datatype: 'FP32', shape: [1, 1] }],
    raw_input_contents: [raw],
  };
}

describe.each(['oldest', 'direct', 'whole'])('%s', (model) => {
  test('sequences that come mixed are each answered as in runs of their own', async () => {
    using from = client();
    const ids = [11, 12, 'caller', 'other'];
    for (let turn = 0; turn < 20; turn++) {
      const flags = { start: turn === 0, end: turn === 19 };
      const answers = ids.map((id, index) => sumOf(ask(from, model, id, index + turn / 8, flags)));
      const expected = ids.map((_, index) => index * (turn + 1) + (turn * (turn + 1)) / 16);
      expect(await Promise.all(answers)).toEqual(expected);
    }
  });
});

test('requests of different sequences share batches', async () => {
  using from = client();
  const before = await statistics('layered');
  let asked = 0;
  // On a busy machine the requests of a round may come one by one.
  for (let round = 0; round === 0 || ((await statistics('layered')).largest === 1 && round < 20); round++) {
    const rows = await Promise.all(
      Array.from({ length: 8 }, async (_, index) => {
        const id = index + 1;
        let last: InferenceResult | undefined;
        // All at once: the server keeps them in order.
        const answers = Array.from({ length: 30 }, (_, step) =>
          from.infer(
            'layered',
            { x: tensor.fp32([id, step, 1], [1, 3]), scale: tensor.fp32([id > 4 ? 2 : 1], []) },
            { parameters: parametersOf(id, { start: step === 0, end: step === 29 }) },
          ),
        );
        for (const answer of answers) last = await answer;
        return last;
      }),
    );
    asked += 240;
    for (const [index, row] of rows.entries()) {
      const scale = index + 1 > 4 ? 2 : 1;
      expect([...(row?.outputs.keys() ?? [])]).toEqual(['y']);
      expect([...(row?.output('y', 'FP32').data ?? [])]).toEqual([60 * (index + 1), 870, 60].map((y) => y * scale));
    }
  }
  const after = await statistics('layered');
  expect(after.inferences - before.inferences).toBe(asked);
  expect(after.executions - before.executions).toBeLessThan(asked);
  expect(after.largest).toBeGreaterThan(1);
  // Requests with another scale are not in the batch.
  expect(after.largest).toBeLessThanOrEqual(4);
});

async function statistics(name: string): Promise<{ inferences: number; executions: number; largest: number }> {
  const { model_stats } = await fixture.client.call('ModelStatistics', { name });
  const [{ inference_count, execution_count, batch_stats }] = model_stats;
  const sizes = batch_stats.map(({ batch_size }: Message) => Number(batch_size));
  return { inferences: Number(inference_count), executions: Number(execution_count), largest: Math.max(0, ...sizes) };
}

describe('a client', () => {
  test('sees neither states nor controls', async () => {
    const metadata = await fixture.client.call('ModelMetadata', { name: 'controls' });
    expect(metadata['inputs'].map(({ name }: Message) => name)).toEqual(['x']);
    const { inputs, outputs } = await fixture.client.call('ModelMetadata', { name: 'oldest' });
    expect([inputs, outputs].map((tensors) => tensors.map(({ name }: Message) => name))).toEqual([['x'], ['sum']]);
    const { config } = await fixture.client.call('ModelConfig', { name: 'oldest' });
    expect(config).toMatchObject({
      input: [{ name: 'x', dims: ['1'] }],
      output: [{ name: 'sum', dims: ['1'] }],
      scheduling_choice: 'sequence_batching',
      sequence_batching: {
        max_sequence_idle_microseconds: '60000000',
        oldest: { max_candidate_sequences: 4 },
        state: [{ input_name: 'total', output_name: 'total_out', data_type: 'TYPE_FP32', dims: ['1'] }],
      },
    });
    const answer = await fixture.client.infer(request('oldest', 21, 1, { start: true, end: true }));
    expect(answer['outputs'].map(({ name }: Message) => name)).toEqual(['sum']);
  });

  test('may neither send a state nor ask for one', async () => {
    const sent = request('oldest', 22, 1, { start: true });
    sent['inputs'].push({ name: 'total', datatype: 'FP32', shape: [1, 1] });
    sent['raw_input_contents'].push(Buffer.alloc(4));
    expect(await fixture.client.refusal('ModelInfer', sent)).toEqual({
      code: 'INVALID_ARGUMENT',
      text: "unexpected inference input 'total' for model 'oldest', which takes ['x']",
    });
    const asked = { ...request('oldest', 22, 1, { start: true }), outputs: [{ name: 'total_out' }] };
    expect(await fixture.client.refusal('ModelInfer', asked)).toEqual({
      code: 'INVALID_ARGUMENT',
      text: "unexpected inference output 'total_out' for model 'oldest', which gives ['sum']",
    });
  });

  test('sees a state where the configuration lists it as an output; it begins with the given bytes', async () => {
    using from = client();
    const answer = await ask(from, 'shown', 23, 5, { start: true });
    expect(answer.output('total_out', 'FP32').data[0]).toBe(13);
  });

  test.each([
    ['without an id', 0, {}, 'must specify a non-zero or non-empty correlation ID'],
    ['with an empty id', '', { start: true }, 'must specify a non-zero or non-empty correlation ID'],
  ])('is refused %s', async (_, id, flags, text) => {
    expect(await fixture.client.refusal('ModelInfer', request('oldest', id, 1, flags))).toEqual({
      code: 'INVALID_ARGUMENT',
      text: `inference request to model 'oldest' ${text}`,
    });
  });

  test('is refused without START at first, after END, and after the idle time', async () => {
    using from = client();
    const refusal = (model: string, id: number | string) => ({
      code: 'INVALID_ARGUMENT',
      text: `inference request for sequence ${id} to model '${model}' must specify the START flag on the first request of the sequence`,
    });
    expect(await fixture.client.refusal('ModelInfer', request('oldest', 5, 1))).toEqual(refusal('oldest', 5));
    expect(await sumOf(ask(from, 'oldest', 'a', 1, { start: true }))).toBe(1);
    expect(await sumOf(ask(from, 'oldest', 'a', 1, { end: true }))).toBe(2);
    expect(await fixture.client.refusal('ModelInfer', request('oldest', 'a', 1))).toEqual(refusal('oldest', 'a'));
    // Each try that is answered gives it another millisecond.
    await ask(from, 'brief', 6, 1, { start: true });
    const late = await vi.waitFor(() => fixture.client.refusal('ModelInfer', request('brief', 6, 1)), {
      timeout: 20_000,
      interval: 50,
    });
    expect(late).toEqual(refusal('brief', 6));
  });

  test('is refused with more than one row', async () => {
    const two: Message = { ...request('oldest', 7, 1, { start: true }), raw_input_contents: [Buffer.alloc(8)] };
    two['inputs'][0].shape = [2, 1];
    expect(await fixture.client.refusal('ModelInfer', two)).toEqual({
      code: 'INVALID_ARGUMENT',
      text: "inference request to model 'oldest' must specify batch-size 1 due to requirements of sequence batcher",
    });
  });

  test('asks in a stream as in single calls: answers in order, refusals in band', async () => {
    const stream = fixture.client.open('ModelStreamInfer');
    for (let turn = 0; turn < 10; turn++) {
      for (const id of [31, 'b']) stream.send(request('oldest', id, 1, { start: turn === 0, end: turn === 8 }));
    }
    stream.halfClose();
    const answers = await stream.rest();
    expect(answers).toHaveLength(20);
    for (const [index, { infer_response: response, error_message: text }] of answers.entries()) {
      const turn = Math.floor(index / 2);
      if (turn === 9) expect(text).toContain('must specify the START flag on the first request of the sequence');
      else expect(response.raw_output_contents[0].readFloatLE()).toBe(turn + 1);
    }
  });
});

test('the model receives start, end, ready and the id of each row', async () => {
  const answers: unknown[][] = [];
  for (const flags of [{ start: true }, {}, { end: true }]) {
    const { raw_output_contents: raw } = await fixture.client.infer(request('controls', 77, 1, flags));
    const [, start, end, ready, id] = raw as [Buffer, Buffer, Buffer, Buffer, Buffer];
    answers.push([start.readFloatLE(), end.readInt32LE(), ready[0], id.readBigInt64LE()]);
  }
  expect(answers).toEqual([
    [2.5, -1, 1, 77n],
    [0, -1, 1, 77n],
    [0, 1, 1, 77n],
  ]);
});

test('a runner that is killed costs no sequence its state', async () => {
  using repository = new Repository({
    sum: { versions: { 1: accumulatorModel() }, config: { ...ONE_INSTANCE, sequence_batching: SEQUENCES } },
  });
  await using server = await startServer(repository.directory, { flags: ['--log-level', 'error'] });
  using from = new InferenceClient(server.grpc);
  const ids = [1, 2, 3, 4];
  for (let turn = 0; turn < 60; turn++) {
    const dies = turn === 20 || turn === 40;
    const [runner = Number.NaN] = server.runnerPids();
    // A stopped process holds the requests that it is sent.
    if (dies) await stopProcess(runner);
    const answers = ids.map((id) => sumOf(ask(from, 'sum', id, id, { start: turn === 0 })));
    if (dies) {
      await untilHeld(server, 0, ids.length);
      process.kill(runner, 'SIGKILL');
    }
    expect(await Promise.all(answers)).toEqual(ids.map((id) => id * (turn + 1)));
  }
  const metrics = await readMetrics(server);
  expect(metrics('tensorgate_runner_restarts_total', { runner: 'sum:1' })).toBe(2);
  expect(metrics('tensorgate_batches_total', { model: 'sum', outcome: 'crashed' })).toBe(2);
});
