import { describe, expect, test } from 'vitest';
import { toPlainValues, toRestResponse } from '../../src/cli/rest-response.ts';
import { type AnyTensor, InferenceResult, tensor } from '../../src/client/inference-client.ts';
import { encodeTensor } from '../../src/client/tensor.ts';
import { formatExactJson, parseExactJson } from '../../src/wire/exact-json.ts';

function resultWith(output: AnyTensor, id: string): InferenceResult {
  const { datatype, shape } = output;
  return new InferenceResult(
    {
      modelName: 'm',
      modelVersion: '3',
      id,
      parameters: new Map([['n', { kind: 'int64', value: 9_007_199_254_740_993n }]]),
      outputs: [{ name: 'y', datatype, shape, data: encodeTensor(output) }],
    },
    undefined,
  );
}

describe('an answer as REST has it', () => {
  test('has the names of its JSON, and exact integers', () => {
    const json = formatExactJson(toRestResponse(resultWith(tensor.int64([9_007_199_254_740_993n], [1, 1]), 'a')));
    expect(json).toBe(
      '{"model_name":"m","model_version":"3","id":"a","parameters":{"n":9007199254740993},' +
        '"outputs":[{"name":"y","datatype":"INT64","shape":[1,1],"data":[9007199254740993]}]}',
    );
  });

  test('leaves out an empty id', () => {
    expect(toRestResponse(resultWith(tensor.bool([true], [1]), ''))).not.toHaveProperty('id');
  });

  test.each([
    [tensor.bool([true, false], [2]), [true, false]],
    [tensor.uint64([1n, 2n], [2]), [1n, 2n]],
    [tensor.fp16(new Uint16Array([0x3c00, 0xc000]), [2]), [1, -2]],
    [tensor.bf16(new Uint16Array([0x3f80, 0xc000]), [2]), [1, -2]],
    [tensor.bytes(['grün', 'x'], [2]), ['grün', 'x']],
    [tensor.fp64([0.1, 0.2], [2]), [0.1, 0.2]],
    [tensor.int8([-1, 1], [2]), [-1, 1]],
  ])('gives plain values', (output, values) => {
    expect(toPlainValues(output)).toEqual(values);
  });

  test('writes FP32 with the fewest digits that are exact', () => {
    const values = [0.1, 1 / 3, 16_777_216, 1e-45, 3.4028234663852886e38, -0.7, Infinity];
    const shown = toPlainValues(tensor.fp32(values, [values.length])) as number[];
    expect(shown.map(Math.fround)).toEqual(values.map(Math.fround));
    expect(shown.slice(0, 2)).toEqual([0.1, 0.33333334]);
  });
});

describe('exact JSON', () => {
  test('keeps integers that no number holds, and leaves other numbers unchanged', () => {
    const text = '[9007199254740993,-9223372036854775808,1,1e300,0.5]';
    expect(parseExactJson(text)).toEqual([9_007_199_254_740_993n, -9_223_372_036_854_775_808n, 1, 1e300, 0.5]);
    expect(formatExactJson(parseExactJson('[9007199254740993,1]'))).toBe('[9007199254740993,1]');
  });
});
