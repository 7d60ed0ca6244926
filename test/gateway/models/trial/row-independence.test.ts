import { describe, expect, test } from 'vitest';
import type { InferTensors } from '../../../../src/gateway/admit/infer-tensors.ts';
import { findRowDependence, type RunRows } from '../../../../src/gateway/models/trial/row-independence.ts';
import type { ProbeShape } from '../../../../src/gateway/models/trial/synthetic-input.ts';
import type { Datatype, TensorSpec } from '../../../../src/wire/tensor.ts';
import type { RunOutcome } from '../../../../src/worker/run-outcome.ts';
import { spec } from '../../../support/infer-requests.ts';
import {
  batchMeanModel,
  batchSumModel,
  dynamicallyQuantizedModel,
  gatherModel,
  halfPrecisionModel,
  identityModel,
  mlpModel,
} from '../../../support/onnx-models.ts';
import { runRowsOf } from '../../../support/runners.ts';

const WIDE: ProbeShape = { openAxisSize: 1, range: 'wide' };
const FP32_ROW = [spec('input', 'FP32', [-1, 4])];

describe('models whose rows are independent', () => {
  const models: readonly { name: string; model: Uint8Array; inputs: readonly TensorSpec[]; shape?: ProbeShape }[] = [
    { name: 'an MLP', model: mlpModel(), inputs: FP32_ROW },
    { name: 'an MLP in half precision', model: halfPrecisionModel(), inputs: [spec('input', 'FP16', [-1, 4])] },
    {
      name: 'an embedding',
      model: gatherModel(5),
      inputs: [spec('indices', 'INT64', [-1, 2])],
      shape: { openAxisSize: 1, range: 'small' },
    },
    { name: 'strings that pass through', model: identityModel('BYTES'), inputs: [spec('input', 'BYTES', [-1, 4])] },
  ];

  test.each(models)('$name', async ({ model, inputs, shape = WIDE }) => {
    expect(await findRowDependence(await runRowsOf(model), inputs, shape)).toBeUndefined();
  });
});

describe('models whose rows are not', () => {
  test('one that subtracts the mean of the batch', async () => {
    const reason = await findRowDependence(await runRowsOf(batchMeanModel()), FP32_ROW, WIDE);
    expect(reason).toMatch(/^output 'output' of a row changes by [0-9.]+ with the rows beside it$/);
  });

  test.each(['wide', 'small'] as const)('one that is quantized dynamically, probed with %s values', async (range) => {
    const run = await runRowsOf(dynamicallyQuantizedModel());
    expect(await findRowDependence(run, FP32_ROW, { ...WIDE, range })).toContain('changes by');
  });

  test('one that sums all rows into one', async () => {
    expect(await findRowDependence(await runRowsOf(batchSumModel()), FP32_ROW, WIDE)).toBe(
      "output 'output' of a batch of 4 rows has the shape [1,4]: its first axis is no batch axis",
    );
  });
});

describe('what counts as a difference', () => {
  /** A model of one output, whose value for a row may depend on how many rows there are. */
  function answering(datatype: Datatype, bytesOf: (rows: number) => Uint8Array): RunRows {
    return async (rows: readonly InferTensors[]): Promise<RunOutcome> => {
      const data = Buffer.concat(rows.map(() => bytesOf(rows.length)));
      return {
        kind: 'ok',
        outputs: [{ name: 'y', datatype, shape: [rows.length, 1], data }],
        inputMs: 0,
        computeMs: 0,
        outputMs: 0,
      };
    };
  }

  const fp32 = (...values: number[]): Uint8Array => new Uint8Array(new Float32Array(values).buffer);
  const fp64 = (...values: number[]): Uint8Array => new Uint8Array(new Float64Array(values).buffer);
  const half = (bits: number): Uint8Array => new Uint8Array(new Uint16Array([bits]).buffer);

  const cases: readonly { name: string; datatype: Datatype; alone: Uint8Array; beside: Uint8Array; same: boolean }[] = [
    { name: 'rounding', datatype: 'FP32', alone: fp32(0.5), beside: fp32(0.500001), same: true },
    { name: 'more than rounding', datatype: 'FP32', alone: fp32(0.5), beside: fp32(0.5001), same: false },
    { name: 'rounding of a large number', datatype: 'FP32', alone: fp32(1e6), beside: fp32(1e6 + 1), same: true },
    { name: 'NaN in both', datatype: 'FP32', alone: fp32(Number.NaN), beside: fp32(Number.NaN), same: true },
    { name: 'NaN in one', datatype: 'FP32', alone: fp32(1), beside: fp32(Number.NaN), same: false },
    { name: 'NaN in the other', datatype: 'FP32', alone: fp32(Number.NaN), beside: fp32(1), same: false },
    {
      name: 'an infinity in one',
      datatype: 'FP64',
      alone: fp64(1),
      beside: fp64(Number.POSITIVE_INFINITY),
      same: false,
    },
    { name: '0 and -0', datatype: 'FP64', alone: fp64(0), beside: fp64(-0), same: true },
    { name: 'the last bit of a half', datatype: 'FP16', alone: half(0x3c00), beside: half(0x3c01), same: true },
    { name: 'four bits of a half', datatype: 'FP16', alone: half(0x3c00), beside: half(0x3c08), same: false },
    { name: 'the smallest halves', datatype: 'FP16', alone: half(1), beside: half(3), same: true },
    { name: 'infinite halves', datatype: 'FP16', alone: half(0x7c00), beside: half(0xfc00), same: false },
    { name: 'the last bit of a BF16', datatype: 'BF16', alone: half(0x3f80), beside: half(0x3f81), same: true },
    { name: 'four bits of a BF16', datatype: 'BF16', alone: half(0x3f80), beside: half(0x3f84), same: false },
    {
      name: 'other bits of the same NaN in BF16',
      datatype: 'BF16',
      alone: half(0x7fc0),
      beside: half(0x7fc1),
      same: true,
    },
    { name: 'any integer', datatype: 'INT8', alone: Uint8Array.of(1), beside: Uint8Array.of(2), same: false },
  ];

  test.each(cases)('$name: $same', async ({ datatype, alone, beside, same }) => {
    const run = answering(datatype, (rows) => (rows === 1 ? alone : beside));
    const reason = await findRowDependence(run, FP32_ROW, WIDE);
    if (same) expect(reason).toBeUndefined();
    else expect(reason).toMatch(/^output 'y' of a row changes by (at least one value|Infinity|[0-9.e-]+) /);
  });

  test('a row that has another shape beside others', async () => {
    const run: RunRows = async (rows) => ({
      kind: 'ok',
      outputs: [
        { name: 'y', datatype: 'UINT8', shape: [rows.length, rows.length], data: new Uint8Array(rows.length ** 2) },
      ],
      inputMs: 0,
      computeMs: 0,
      outputMs: 0,
    });
    expect(await findRowDependence(run, FP32_ROW, WIDE)).toBe(
      "output 'y' of a row has the shape [1,1] by itself and [1,4] in a batch",
    );
  });

  test.each<{ outcome: RunOutcome; text: string }>([
    { outcome: { kind: 'refused', message: 'bad' }, text: 'bad' },
    { outcome: { kind: 'crashed', cause: 'killed by SIGSEGV' }, text: 'killed by SIGSEGV' },
    { outcome: { kind: 'failed', error: new Error('broken') }, text: 'Error: broken' },
  ])('a batch that does not run: $outcome.kind', async ({ outcome, text }) => {
    const run: RunRows = async (rows) => (rows.length > 1 ? outcome : { kind: 'failed', error: 'not asked for' });
    expect(await findRowDependence(run, FP32_ROW, WIDE)).toBe(`a batch of 4 rows does not run (${text})`);
  });
});
