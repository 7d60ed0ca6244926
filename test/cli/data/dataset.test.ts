import fs from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { openDataset } from '../../../src/cli/data/dataset.ts';
import type { Dataset } from '../../../src/compare/sample.ts';
import { MODEL_CONFIG } from '../../../src/gateway/repository/config/model-config.ts';
import { resolveSignature } from '../../../src/gateway/repository/signature/model-signature.ts';
import { bytesOf } from '../../../src/wire/tensor-bytes.ts';
import type { SessionTensor } from '../../../src/worker/protocol.ts';
import { floatRows, type NumpyArray, npz } from '../../support/npz.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

function model(inputs: readonly SessionTensor[]) {
  const outputs: SessionTensor[] = [{ name: 'y', datatype: 'FP32', shape: [-1, 2], axes: ['N', 2] }];
  const info = { inputs, outputs, provider: 'cpu', refusals: [] } as const;
  const metadata = { name: 'm', versions: [], platform: 'onnxruntime_onnx', inputs, outputs, properties: {} };
  return { metadata, signature: resolveSignature(info, MODEL_CONFIG.parse({})) };
}

const X: SessionTensor = { name: 'x', datatype: 'FP32', shape: [-1, 2], axes: ['N', 2] };
const IMAGE: SessionTensor = { name: 'image', datatype: 'UINT8', shape: [-1, 3, 2, 2], axes: ['N', 3, 2, 2] };

function write(name: string, content: string | Uint8Array, directory = temporaryDirectory()): string {
  const file = path.join(directory, name);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, content);
  return file;
}

/** All samples: name, label, and the numbers of the first input. */
async function samplesOf({ count, read }: Dataset) {
  const samples = await Promise.all(Array.from({ length: count }, (_, index) => read(index)));
  return samples.map(({ name, label, tensors }) => {
    const bytes = Uint8Array.from(bytesOf(tensors.inputs[0] ?? new Uint8Array()));
    return { name, label, shape: tensors.shapes[0], values: [...new Float32Array(bytes.buffer)] };
  });
}

function int32(...values: readonly number[]): NumpyArray {
  return { description: '<i4', shape: [values.length], data: new Uint8Array(new Int32Array(values).buffer) };
}

describe('arrays of numpy', () => {
  test('give a row for each of theirs, with its label', async () => {
    const file = write(
      'rows.npz',
      npz({
        x: floatRows([
          [1, 2],
          [3, 4],
        ]),
        labels: int32(1, 0),
      }),
    );
    expect(await samplesOf(await openDataset(file, model([X]), true))).toEqual([
      { name: 'rows.npz row 0', label: 1, shape: [1, 2], values: [1, 2] },
      { name: 'rows.npz row 1', label: 0, shape: [1, 2], values: [3, 4] },
    ]);
  });

  test('may lie in a folder, as a server records them', async () => {
    const directory = temporaryDirectory();
    write('row-00000.npz', npz({ 'input.x': floatRows([[1, 2]]) }), directory);
    write('row-00001.npz', npz({ 'input.x': floatRows([[3, 4]]) }), directory);
    write('.row-00002.npz-77', 'half', directory);
    const samples = await samplesOf(await openDataset(directory, model([X]), false));
    expect(samples.map(({ name, values }) => [name, ...values])).toEqual([
      ['row-00000.npz', 1, 2],
      ['row-00001.npz', 3, 4],
    ]);
  });

  test.each<readonly [string, Readonly<Record<string, NumpyArray>>, RegExp]>([
    ['no array of an input', { z: floatRows([[1, 2]]) }, /has no array 'x', which model 'm' takes: it has z/],
    ['another datatype', { x: int32(1) }, /array 'x' is INT32, and the model takes FP32/],
    [
      'another number of labels',
      { x: floatRows([[1, 2]]), labels: int32(0, 1) },
      /as many rows in each array, and at least one, got 1, 2/,
    ],
    [
      'labels that are no whole numbers',
      { x: floatRows([[1, 2]]), labels: floatRows([[1]]) },
      /labels are whole numbers, one a row, but the array is FP32 \[1,1\]/,
    ],
  ])('are refused: %s', async (_, arrays, text) => {
    await expect(openDataset(write('rows.npz', npz(arrays)), model([X]), false)).rejects.toThrow(text);
  });

  test('that are none are refused', async () => {
    await expect(openDataset(write('rows.npz', 'text'), model([X]), false)).rejects.toThrow('it is no zip archive');
  });
});

describe('lines of JSON', () => {
  test('give all their rows, in both forms, with the label of the line', async () => {
    const rest = { inputs: [{ name: 'x', datatype: 'FP32', shape: [2, 2], data: [1, 2, 3, 4] }], label: 'cat' };
    const file = write('rows.jsonl', `${JSON.stringify(rest)}\n\n{"x": [[5, 6]]}\n`);
    expect(await samplesOf(await openDataset(file, model([X]), true))).toEqual([
      { name: 'rows.jsonl:1 row 0', label: 'cat', shape: [1, 2], values: [1, 2] },
      { name: 'rows.jsonl:1 row 1', label: 'cat', shape: [1, 2], values: [3, 4] },
      { name: 'rows.jsonl:3', label: undefined, shape: [1, 2], values: [5, 6] },
    ]);
  });

  test.each([
    ['{"x": [[1, 2]]', /rows\.jsonl:1 is not JSON/],
    ['{"z": [[1, 2]]}', /model 'm' has no input 'z'/],
    ['{"x": [[1, 2, 3]]}', /rows\.jsonl:1: input 'x' is FP32 \[1,3\], and the model takes FP32 \[-1,2\]/],
    ['{"x": [[1, 2]], "label": true}', /rows\.jsonl:1: label is the number of a class, or its name/],
    ['\n', /holds no rows: expected a request a line/],
  ])('are refused with their number: %s', async (text, expected) => {
    await expect(openDataset(write('rows.jsonl', text), model([X]), false)).rejects.toThrow(expected);
  });
});

describe('folders of images', () => {
  async function image(directory: string, name: string, red: number): Promise<void> {
    const pixels = { width: 2, height: 2, channels: 3, background: { r: red, g: 0, b: 0 } } as const;
    write(name, await sharp({ create: pixels }).png().toBuffer(), directory);
  }

  test('give each image as the model takes it, with the folder as its class', async () => {
    const directory = temporaryDirectory();
    await image(directory, 'dog/b.png', 7);
    await image(directory, 'cat/deep/a.png', 9);
    write('README.md', 'not looked at', directory);
    const dataset = await openDataset(directory, model([IMAGE]), true);
    expect(dataset.classes).toEqual(['cat', 'dog']);
    const [first] = [await dataset.read(0)];
    expect(first).toMatchObject({
      name: 'cat/deep/a.png',
      label: 'cat',
      image: path.join(directory, 'cat/deep/a.png'),
    });
    expect(first.tensors.shapes).toEqual([[1, 3, 2, 2]]);
    expect([...bytesOf(first.tensors.inputs[0]!)]).toEqual([9, 9, 9, 9, 0, 0, 0, 0, 0, 0, 0, 0]);
  });

  test('have to say the class of every image where that is asked for', async () => {
    const directory = temporaryDirectory();
    await image(directory, 'a.png', 7);
    expect((await openDataset(directory, model([IMAGE]), false)).count).toBe(1);
    await expect(openDataset(directory, model([IMAGE]), true)).rejects.toThrow(/a\.png' lies in no folder of a class/);
  });

  test('hold no arrays besides', async () => {
    const directory = temporaryDirectory();
    await image(directory, 'a.png', 7);
    write('rows.npz', npz({ x: floatRows([[1, 2]]) }), directory);
    await expect(openDataset(directory, model([IMAGE]), false)).rejects.toThrow('holds both images and .npz files');
  });
});

test.each([
  ['rows.csv', /is no data: expected a folder of images/],
  ['rows.json', /name it \.jsonl, with a request a line/],
])('%s is no data', async (name, text) => {
  await expect(openDataset(write(name, 'x'), model([X]), false)).rejects.toThrow(text);
});
