import { describe, expect, test } from 'vitest';
import type { InferTensors } from '../../../../src/gateway/admit/infer-tensors.ts';
import { runWarmUps } from '../../../../src/gateway/models/trial/warm-up-run.ts';
import type { WarmUpSample } from '../../../../src/gateway/repository/warm-up-sample.ts';
import { bytesOf } from '../../../../src/wire/tensor-bytes.ts';
import type { RunOutcome } from '../../../../src/worker/run-outcome.ts';
import { startLifecycle } from '../../../support/lifecycle-fixture.ts';
import { batchMeanModel, gatherModel } from '../../../support/onnx-models.ts';

const OK: RunOutcome = { kind: 'ok', outputs: [], inputMs: 0, computeMs: 0, outputMs: 0 };

function sample(fields: Partial<WarmUpSample> = {}): WarmUpSample {
  const input = { name: 'x', datatype: 'FP32', shape: [1, 2] } as const;
  return { name: "model_warmup 's'", rows: 1, count: 1, inputs: [{ ...input, data: 'random' }], ...fields };
}

describe('samples', () => {
  test('run on all instances at once, one after another, as often as they say', async () => {
    const ran: number[] = [];
    let running = 0;
    let most = 0;
    const run = async (rows: readonly InferTensors[]): Promise<RunOutcome> => {
      ran.push(rows.length);
      most = Math.max(most, ++running);
      await Promise.resolve();
      running--;
      return OK;
    };
    await runWarmUps([sample({ rows: 4, count: 2 }), sample()], run, 3);
    expect(ran).toEqual([4, 4, 4, 4, 4, 4, 1, 1, 1]);
    expect(most).toBe(3);
  });

  test('have the values that are said, or the same random ones each time', async () => {
    const seen: InferTensors[] = [];
    const run = async ([row]: readonly InferTensors[]): Promise<RunOutcome> => {
      if (row !== undefined) seen.push(row);
      return OK;
    };
    const said = { name: 'x', datatype: 'FP32', shape: [1, 2], data: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) } as const;
    await runWarmUps([sample({ inputs: [said] }), sample({ count: 2 })], run, 1);
    expect(seen[0]).toMatchObject({ rows: 1, bytes: 8, inputs: [said.data], shapes: [[1, 2]] });
    const random = bytesOf(seen[1]?.inputs[0] ?? new Uint8Array());
    expect(new Set(random).size).toBeGreaterThan(2);
    expect(seen[2]?.inputs[0]).toEqual(random);
  });

  test('that are not answered end it, by name', async () => {
    const run = async (): Promise<RunOutcome> => ({ kind: 'crashed', cause: 'killed by SIGSEGV' });
    const warming = runWarmUps([sample()], run, 1);
    await expect(warming).rejects.toThrow("model_warmup 's' was not answered: killed by SIGSEGV");
  });
});

describe('a model with model_warmup', () => {
  const indices = (file: string): object => ({
    indices: { data_type: 'TYPE_INT64', dims: [2], input_data_file: file },
  });
  const int64 = (...values: number[]): string =>
    Buffer.from(new BigInt64Array(values.map(BigInt)).buffer).toString('latin1');

  test('is READY when every instance has answered it', async () => {
    const { lines } = await startLifecycle({
      m: {
        versions: { 1: gatherModel(10) },
        config: {
          instance_group: [{ count: 2 }],
          model_warmup: [
            { name: 'first and last', batch_size: 3, count: 2, inputs: indices('ends') },
            { name: 'zeros', inputs: { indices: { data_type: 'TYPE_INT64', dims: [2], zero_data: true } } },
          ],
        },
        files: { 'warmup/ends': int64(0, 9) },
      },
    });
    expect(await lines()).toEqual(['m 1 READY']);
  });

  test('that it refuses does not serve, and says which one it was', async () => {
    const { lines } = await startLifecycle({
      m: {
        versions: { 1: gatherModel(10) },
        config: { model_warmup: [{ name: 'beyond', inputs: indices('beyond') }] },
        files: { 'warmup/beyond': int64(0, 99) },
      },
    });
    expect(await lines()).toEqual([
      expect.stringMatching(/^m 1 UNAVAILABLE model_warmup 'beyond' was not answered: .*99/),
    ]);
  });

  test('that does not fit it is not even run', async () => {
    const { lines } = await startLifecycle({
      m: { versions: { 1: gatherModel(10) }, config: { model_warmup: [{ inputs: indices('none') }] } },
    });
    expect(await lines()).toEqual([
      expect.stringMatching(/UNAVAILABLE model_warmup 0, input 'indices': .* does not exist$/),
    ]);
  });

  test('runs its rows together also where running has shown that they are not independent', async () => {
    const input = { data_type: 'TYPE_FP32', dims: [4], random_data: true };
    const { lines, models } = await startLifecycle({
      m: { versions: { 1: batchMeanModel() }, config: { model_warmup: [{ batch_size: 5, inputs: { input } }] } },
    });
    expect(await lines()).toEqual(['m 1 READY']);
    expect(models.find('m', '').detail).toContain('rows are not independent');
  });
});
