import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { compress } from '../../../src/compress/compress.ts';
import { CompressError } from '../../../src/compress/compress-error.ts';
import {
  encodeOnnxModel,
  externalFilesOf,
  type OnnxModel,
  readOnnxModel,
  writeOnnxModel,
} from '../../../src/compress/onnx/model-file.ts';
import { tensorOf } from '../../../src/compress/onnx/tensor-values.ts';
import { fp32, outputsOf } from '../../support/model-runs.ts';
import { Network } from '../../support/network.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

/** 4,096 weights, and a small bias. */
function perceptron(): OnnxModel {
  const network = new Network(1);
  const output = network.add('Relu', [network.gemm('x', 64, 64)]);
  return network.model([{ name: 'x', axes: ['rows', 64] }], [{ name: output, axes: ['rows', 64] }]);
}

const FEEDS = [
  fp32(
    'x',
    [1, 64],
    Array.from({ length: 64 }, (_, i) => Math.sin(i)),
  ),
];

describe('a model in one file', () => {
  test('is the same after writing and reading, byte by byte', async () => {
    const file = path.join(temporaryDirectory(), 'model.onnx');
    expect(await writeOnnxModel(perceptron(), file)).toEqual([file]);
    expect(encodeOnnxModel(await readOnnxModel(file), 'read')).toEqual(encodeOnnxModel(perceptron(), 'made'));
    expect(await externalFilesOf(file)).toEqual([]);
  });

  test('keeps fields of newer versions of the format', async () => {
    const file = path.join(temporaryDirectory(), 'model.onnx');
    // Field 4000 of ModelProto, a text: no version of the format has it.
    const unknown = Buffer.from([0x82, 0xfa, 0x01, 0x03, 0x6e, 0x65, 0x77]);
    fs.writeFileSync(file, Buffer.concat([encodeOnnxModel(perceptron(), 'made'), unknown]));
    const bytes = Buffer.from(encodeOnnxModel(await readOnnxModel(file), 'read'));
    expect(bytes.includes(unknown)).toBe(true);
  });

  test('that is none is refused', async () => {
    const file = path.join(temporaryDirectory(), 'model.onnx');
    for (const [bytes, reason] of [
      ['', 'it has no graph'],
      ['no model', 'is no ONNX model'],
      [encodeOnnxModel(perceptron(), 'made').subarray(0, 5_000), 'is no ONNX model'],
    ] as const) {
      fs.writeFileSync(file, bytes);
      await expect(readOnnxModel(file)).rejects.toThrow(reason);
    }
    await expect(readOnnxModel(path.join(path.dirname(file), 'other.onnx'))).rejects.toThrow(/cannot be read: ENOENT/);
  });

  test('above 2 GiB is refused before it is read', async () => {
    const file = path.join(temporaryDirectory(), 'model.onnx');
    // A hole takes no room on the disk.
    fs.closeSync(fs.openSync(file, 'w'));
    fs.truncateSync(file, 2 ** 31);
    const failure = await readOnnxModel(file).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(CompressError);
    expect(failure).toHaveProperty('fault', 'model');
    expect(String(failure)).toContain('an ONNX file has at most 2 GiB, and keeps larger weights as external data');
  });

  test('that would be above 2 GiB is not written, and leaves nothing behind', async () => {
    const directory = temporaryDirectory();
    const model = perceptron();
    // Memory that is never touched is none.
    const half = new Float32Array(2 ** 28);
    model.graph?.initializer.push(tensorOf('a', half, [2 ** 28]), tensorOf('b', half, [2 ** 28]));
    const file = path.join(directory, 'model.onnx');
    await expect(writeOnnxModel(model, file, { externalData: 'never' })).rejects.toThrow(/larger than 2 GiB/);
    expect(() => encodeOnnxModel(model, 'it')).toThrow(/use external data/);
    expect(fs.readdirSync(directory)).toEqual([]);
  });
});

describe('external data', () => {
  test('is written beside the model, read back, and understood by ONNX Runtime', async () => {
    const directory = temporaryDirectory();
    const file = path.join(directory, 'model.onnx');
    const data = `${file}.data`;
    expect(await writeOnnxModel(perceptron(), file, { externalData: 'always' })).toEqual([file, data]);
    expect(fs.readdirSync(directory).sort()).toEqual(['model.onnx', 'model.onnx.data']);
    expect(fs.statSync(file).size).toBeLessThan(1_000);
    expect(fs.statSync(data).size).toBe(64 * 64 * 4);
    expect(await externalFilesOf(file)).toEqual([data]);
    const read = await readOnnxModel(file);
    expect(encodeOnnxModel(read, 'read')).toEqual(encodeOnnxModel(perceptron(), 'made'));
    // By path, as it lies there.
    expect(await outputsOf(file, FEEDS)).toEqual(await outputsOf(perceptron(), FEEDS));
  });

  test('names no path of the machine', async () => {
    const file = path.join(temporaryDirectory(), 'model.onnx');
    await writeOnnxModel(perceptron(), file, { externalData: 'always' });
    expect(fs.readFileSync(file).includes(path.dirname(file))).toBe(false);
    await writeOnnxModel(compress(perceptron(), { kind: 'fp16-weights' }).model, file);
    expect(fs.readFileSync(file).includes(path.dirname(file))).toBe(false);
  });

  test('is compressed with its model', async () => {
    const file = path.join(temporaryDirectory(), 'model.onnx');
    await writeOnnxModel(perceptron(), file, { externalData: 'always' });
    const { model: small } = compress(await readOnnxModel(file), { kind: 'fp16-weights' });
    const [half] = await outputsOf(small, FEEDS);
    const [whole] = await outputsOf(perceptron(), FEEDS);
    for (const [at, value] of half?.entries() ?? []) expect(value).toBeCloseTo(whole?.[at] ?? Number.NaN, 2);
  });

  test('that is missing, cut off, or elsewhere is refused by name', async () => {
    const directory = temporaryDirectory();
    const file = path.join(directory, 'model.onnx');
    await writeOnnxModel(perceptron(), file, { externalData: 'always' });
    fs.truncateSync(`${file}.data`, 100);
    await expect(readOnnxModel(file)).rejects.toThrow(
      "tensor 'w0' has the bytes 0 to 16384 of 'model.onnx.data', which has only 100",
    );
    fs.rmSync(`${file}.data`);
    await expect(readOnnxModel(file)).rejects.toThrow(/tensor 'w0': 'model.onnx.data' cannot be read: ENOENT/);
    const written = fs.readFileSync(file);
    const elsewhere = Buffer.from(written.toString('latin1').replace('model.onnx.data', '../../other.bin'), 'latin1');
    fs.writeFileSync(file, elsewhere);
    await expect(readOnnxModel(file)).rejects.toThrow(
      /is stored in '..\/..\/other.bin': expected a file beside the model/,
    );
    await expect(externalFilesOf(file)).rejects.toThrow(/expected a file beside the model/);
  });

  test('is not read from a location that is no path at all', async () => {
    const file = path.join(temporaryDirectory(), 'model.onnx');
    await writeOnnxModel(perceptron(), file, { externalData: 'always' });
    const written = fs.readFileSync(file).toString('latin1');
    fs.writeFileSync(file, Buffer.from(written.replace('model.onnx.data', '/etc/hostname\0\0'), 'latin1'));
    await expect(readOnnxModel(file)).rejects.toThrow(/expected a file beside the model/);
  });
});

test('a model that cannot be written leaves the one before it', async () => {
  const file = path.join(temporaryDirectory(), 'model.onnx');
  await writeOnnxModel(perceptron(), file);
  const before = fs.readFileSync(file);
  // A directory where the data should go.
  fs.mkdirSync(`${file}.data`);
  await expect(writeOnnxModel(perceptron(), file, { externalData: 'always' })).rejects.toThrow();
  expect(fs.readFileSync(file)).toEqual(before);
  expect(fs.readdirSync(path.dirname(file)).sort()).toEqual(['model.onnx', 'model.onnx.data']);
});
