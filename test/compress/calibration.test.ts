import { describe, expect, test } from 'vitest';
import { calibrate } from '../../src/compress/calibration.ts';
import { CompressError } from '../../src/compress/compress-error.ts';
import { decodeOnnxModel, type OnnxModel } from '../../src/compress/onnx/model-file.ts';
import { DataType } from '../../src/compress/onnx/tensor-values.ts';
import { fp32, RUNNER } from '../support/model-runs.ts';
import { Network } from '../support/network.ts';
import { gatherModel, loopModel } from '../support/onnx-models.ts';

/** x [rows,2] -> doubled, then cut at 0. */
function doubling(): OnnxModel {
  const network = new Network();
  const doubled = network.add('Mul', ['x', network.constant('two', Float32Array.of(2), [])]);
  const output = network.add('Relu', [doubled]);
  return network.model([{ name: 'x', axes: ['rows', 2] }], [{ name: output, axes: ['rows', 2] }]);
}

describe('calibration', () => {
  test('sees the least and the greatest value of each tensor over all runs', async () => {
    const rows = [fp32('x', [1, 2], [1, -3]), fp32('x', [2, 2], [0.5, 0.25, -1, 4])];
    expect(await calibrate(doubling(), rows, RUNNER)).toEqual(
      new Map([
        ['x', { low: -3, high: 4, rank: 2 }],
        ['mul0', { low: -6, high: 8, rank: 2 }],
        ['relu1', { low: 0, high: 8, rank: 2 }],
      ]),
    );
  });

  test('takes rows as they come, one batch at a time', async () => {
    const asked: string[] = [];
    async function* rows() {
      for (const value of [1, 2, 3]) {
        asked.push(`row ${value}`);
        yield fp32('x', [1, 2], [value, value]);
      }
    }
    const ranges = await calibrate(doubling(), rows(), RUNNER);
    expect(asked).toEqual(['row 1', 'row 2', 'row 3']);
    expect(ranges.get('x')?.high).toBe(3);
  });

  test('leaves out tensors that are not float32, and values that are not finite', async () => {
    const network = new Network();
    const root = network.add('Sqrt', ['x']);
    network.add('Shape', ['x']);
    const model = network.model([{ name: 'x', axes: ['rows'] }], [{ name: root, axes: ['rows'] }]);
    const ranges = await calibrate(model, [fp32('x', [2], [4, -1])], RUNNER);
    expect([...ranges.keys()]).toEqual(['x']);
    const indices = decodeOnnxModel(gatherModel(5), 'gather');
    const data = new Uint8Array(BigInt64Array.of(1n, 4n).buffer);
    const seen = await calibrate(indices, [new Map([['indices', { datatype: 'INT64', shape: [1, 2], data }]])], RUNNER);
    expect([...seen.keys()]).not.toContain('indices');
    expect(seen.size).toBeGreaterThan(0);
  });

  test('works with subgraphs in the model', async () => {
    const ranges = await calibrate(decodeOnnxModel(loopModel(), 'loop'), await loopFeeds(), RUNNER);
    expect(ranges.size).toBeGreaterThan(0);
  });

  const BAD = [
    ['no rows at all', [], 'calibration', 'there are no rows to calibrate with'],
    [
      'another shape',
      [fp32('x', [1, 3], [1, 2, 3])],
      'calibration',
      "input 'x' takes FP32 [-1,2], but the values are FP32 [1,3]",
    ],
    [
      'another name',
      [fp32('y', [1, 2], [1, 2])],
      'calibration',
      "the model's input 'x' is not among the values, which are 'y'",
    ],
    [
      'another datatype',
      [new Map([['x', { datatype: 'UINT8' as const, shape: [1, 2], data: new Uint8Array(2) }]])],
      'calibration',
      "input 'x' takes FP32 [-1,2], but the values are UINT8 [1,2]",
    ],
  ] as const;

  test.each(BAD)('refuses %s', async (_, rows, fault, text) => {
    const failure = await calibrate(doubling(), rows, RUNNER).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(CompressError);
    expect(failure).toMatchObject({ fault, message: text });
  });

  test('says what ONNX Runtime has against a model', async () => {
    const network = new Network();
    const output = network.add('NoSuchOperator', ['x']);
    const model = network.model([{ name: 'x', axes: [1], dataType: DataType.FLOAT }], [{ name: output, axes: [1] }]);
    const failure = await calibrate(model, [], RUNNER).catch((error: unknown) => error);
    expect(failure).toMatchObject({ fault: 'runner' });
    expect(String(failure)).toMatch(/ONNX Runtime does not open the model: .*NoSuchOperator/);
  });

  test('hands on what goes wrong with the rows', async () => {
    async function* rows() {
      yield fp32('x', [1, 2], [1, 2]);
      throw new Error('the disk is gone');
    }
    await expect(calibrate(doubling(), rows(), RUNNER)).rejects.toThrow('the disk is gone');
  });
});

/** Whatever the loop takes. */
async function loopFeeds() {
  const { graph } = decodeOnnxModel(loopModel(), 'loop');
  return [
    new Map(
      (graph?.input ?? []).map(({ name, type }) => {
        const elements = type?.value.case === 'tensorType' ? type.value.value : undefined;
        const isFloat = elements?.elemType === DataType.FLOAT;
        const shape = (elements?.shape?.dim ?? []).map(({ value }) =>
          value.case === 'dimValue' ? Number(value.value) : 1,
        );
        const count = shape.reduce((product, size) => product * size, 1);
        const values = isFloat ? new Float32Array(count).fill(1) : new BigInt64Array(count).fill(1n);
        return [name, { datatype: isFloat ? 'FP32' : 'INT64', shape, data: new Uint8Array(values.buffer) }] as const;
      }),
    ),
  ];
}
