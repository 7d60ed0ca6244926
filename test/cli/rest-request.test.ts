import { describe, expect, test } from 'vitest';
import { CliError } from '../../src/cli/cli-error.ts';
import { parseJsonRequest } from '../../src/cli/rest-request.ts';
import { type ModelMetadata, tensor } from '../../src/client/inference-client.ts';

const METADATA: ModelMetadata = {
  name: 'm',
  versions: ['1'],
  platform: 'onnxruntime_onnx',
  inputs: [
    { name: 'x', datatype: 'FP32', shape: [-1, 2] },
    { name: 'ids', datatype: 'INT64', shape: [-1] },
    { name: 'text', datatype: 'BYTES', shape: [-1, 1] },
    { name: 'open', datatype: 'UINT8', shape: [-1, -1] },
  ],
  outputs: [],
  properties: {},
};

const parse = (json: unknown) => parseText(JSON.stringify(json));
const parseText = (text: string) => parseJsonRequest(text, "'r.json'", async () => METADATA);

/** The request with one REST input. */
const withInput = (datatype: string, shape: number[], data: unknown[]) => ({
  inputs: [{ name: 'x', datatype, shape, data }],
});

describe('a REST request', () => {
  test('keeps its id, its parameters and its outputs', async () => {
    const request = await parse({
      ...withInput('FP32', [1, 2], [0.5, 1]),
      id: 'a',
      parameters: { priority: 1 },
      outputs: [{ name: 'y', parameters: { classification: 2 } }, { name: 'z' }],
    });
    expect(request).toEqual({
      inputs: { x: tensor.fp32([0.5, 1], [1, 2]) },
      options: {
        id: 'a',
        parameters: { priority: 1 },
        outputs: { y: { parameters: { classification: 2 } }, z: { parameters: undefined } },
      },
    });
  });

  test.each([
    ['BOOL', [true, false], tensor.bool([true, false], [2])],
    ['UINT8', [0, 255], tensor.uint8([0, 255], [2])],
    ['UINT16', [0, 1], tensor.uint16([0, 1], [2])],
    ['UINT32', [0, 1], tensor.uint32([0, 1], [2])],
    ['INT8', [-1, 1], tensor.int8([-1, 1], [2])],
    ['INT16', [-1, 1], tensor.int16([-1, 1], [2])],
    ['INT32', [-1, 1], tensor.int32([-1, 1], [2])],
    ['FP16', [1, -2], tensor.fp16(new Uint16Array([0x3c00, 0xc000]), [2])],
    ['BF16', [1, -2], tensor.bf16(new Uint16Array([0x3f80, 0xc000]), [2])],
    ['FP64', [0.1, 1], tensor.fp64([0.1, 1], [2])],
    ['BYTES', ['a', 'ü'], tensor.bytes(['a', 'ü'], [2])],
  ])('takes %s', async (datatype, data, expected) => {
    expect((await parse(withInput(datatype, [2], data))).inputs['x']).toEqual(expected);
  });

  test('takes integers of 64 bits exactly', async () => {
    const { inputs } = await parseText(
      '{"inputs": [{"name": "x", "datatype": "UINT64", "shape": [2], "data": [18446744073709551615, 9007199254740993]}]}',
    );
    expect(inputs['x']?.data).toEqual(new BigUint64Array([18_446_744_073_709_551_615n, 9_007_199_254_740_993n]));
  });

  test('takes nested data too', async () => {
    const { inputs } = await parse(
      withInput(
        'INT32',
        [2, 2],
        [
          [1, 2],
          [3, 4],
        ],
      ),
    );
    expect(inputs['x']).toEqual(tensor.int32([1, 2, 3, 4], [2, 2]));
  });

  test.each([
    [withInput('UINT8', [1], [256]), "input 'x': element 0 is 256, which is no UINT8"],
    [withInput('FP32', [2], [1]), "input 'x': shape [2] does not hold 1 elements"],
    [withInput('FP32', [1], ['1']), 'input \'x\': element 0 is "1", expected a number'],
    [withInput('BYTES', [1], [1]), "input 'x': element 0 is 1, expected a string"],
    [withInput('INT64', [1], [1.5]), "input 'x': element 0 is 1.5, expected an integer"],
  ])('says what does not fit: %j', async (json, text) => {
    await expect(parse(json)).rejects.toThrow(new CliError(text));
  });

  test.each([
    [withInput('FLOAT', [1], [1]), 'datatype'],
    [{ inputs: [{ name: 'x', datatype: 'FP32', shape: [-1], data: [1] }] }, 'shape'],
    [{ inputs: [{ name: 'x', datatype: 'FP32', shape: [1], values: [1] }] }, 'values'],
    [{ ...withInput('FP32', [1], [1]), output: ['y'] }, 'output'],
  ])('with a wrong key or value is refused by its name: %j', async (json, name) => {
    await expect(parse(json)).rejects.toThrow(new RegExp(`^'r.json' is not a request: .*${name}`));
  });
});

describe('a bare mapping', () => {
  test('takes datatypes from the model, and shapes from the nesting', async () => {
    const { inputs, options } = await parse({
      x: [
        [1, 2],
        [3, 4],
      ],
      ids: [5],
      text: [['a']],
    });
    expect(inputs).toEqual({
      x: tensor.fp32([1, 2, 3, 4], [2, 2]),
      ids: tensor.int64([5n], [1]),
      text: tensor.bytes(['a'], [1, 1]),
    });
    expect(options).toEqual({});
  });

  test('lets flat values fill the shape of the model', async () => {
    expect((await parse({ x: [1, 2, 3, 4] })).inputs['x']?.shape).toEqual([2, 2]);
  });

  test.each([
    [{ y: [1] }, "model 'm' has no input 'y'; it takes x FP32[-1,2], ids INT64[-1]"],
    [{ x: [1, 2, 3] }, '3 elements do not fill input x FP32[-1,2]'],
    [{ open: [1, 2] }, 'input open UINT8[-1,-1] leaves 2 axes open: nest its values as rows, such as {"open":[[1,2]]}'],
    [{ x: [[1, 2], [3]] }, "input 'x': shape [2,2] does not hold 3 elements"],
  ])('says what does not fit the model: %j', async (json, text) => {
    await expect(parse(json)).rejects.toThrow(text);
  });
});

test('text that is no JSON, or JSON that is no request, is refused', async () => {
  await expect(parseText('{')).rejects.toThrow(/^'r.json' is not JSON: /);
  await expect(parseText('[1]')).rejects.toThrow(/^'r.json' is not a request: /);
  await expect(parseText('{"x": 1}')).rejects.toThrow(/^'r.json' is not a request: .*x/);
});
