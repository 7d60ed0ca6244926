import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CliError } from '../../src/cli/cli-error.ts';
import { findImageLayout, readImage } from '../../src/cli/image-input.ts';
import type { ModelMetadata } from '../../src/client/inference-client.ts';

function modelWith(...inputs: [datatype: string, shape: number[]][]): ModelMetadata {
  return {
    name: 'm',
    versions: ['1'],
    platform: 'onnxruntime_onnx',
    inputs: inputs.map(([datatype, shape], i) => ({ name: `x${i}`, datatype, shape })),
    outputs: [],
    properties: {},
  };
}

const layoutOf = (datatype: string, shape: number[]) => findImageLayout(modelWith([datatype, shape]));

describe('the layout of an image', () => {
  test.each([
    ['UINT8', [-1, 3, 32, 24], { order: 'CHW', channels: 3, height: 32, width: 24, batched: true }],
    ['FP32', [1, 1, 8, 8], { order: 'CHW', channels: 1, height: 8, width: 8, batched: true }],
    ['UINT8', [-1, 32, 24, 3], { order: 'HWC', channels: 3, height: 32, width: 24, batched: true }],
    ['FP32', [32, 24, 1], { order: 'HWC', channels: 1, height: 32, width: 24, batched: false }],
    ['UINT8', [-1, 3, 48, -1], { order: 'CHW', channels: 3, height: 48, width: undefined, batched: true }],
  ])('comes from the model: %s %j', (datatype, shape, layout) => {
    expect(layoutOf(datatype, shape)).toEqual({ input: 'x0', datatype, ...layout });
  });

  test.each([
    [modelWith(['FP32', [-1, 620]]), 'takes x0 FP32[-1,620], which no image fits'],
    [modelWith(['FP16', [-1, 3, 8, 8]]), 'which no image fits'],
    [modelWith(['FP32', [-1, 4, 8, 8]]), 'which no image fits'],
    [modelWith(['FP32', [2, 3, 8, 8]]), 'which no image fits'],
    [modelWith(['FP32', [-1, -1, 3, 8, 8]]), 'which no image fits'],
    [modelWith(['FP32', [-1, 3, 8, 8]], ['FP32', [-1]]), 'takes x0 FP32[-1,3,8,8], x1 FP32[-1], which no image fits'],
  ])('is refused for a model that takes no image', (metadata, text) => {
    expect(() => findImageLayout(metadata)).toThrow(CliError);
    expect(() => findImageLayout(metadata)).toThrow(text);
  });
});

describe('an image file', () => {
  let folder: string;
  let file: string;
  // Two pixels, one above the other: red and half-transparent dark blue.
  const pixels = new Uint8Array([255, 0, 0, 255, 0, 0, 128, 127]);

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tensorgate-image-'));
    file = join(folder, 'two.png');
    await sharp(pixels, { raw: { width: 1, height: 2, channels: 4 } })
      .png()
      .toFile(file);
  });
  afterAll(() => rm(folder, { recursive: true }));

  test('becomes planes of channels, without its transparency', async () => {
    const image = await readImage(file, layoutOf('UINT8', [-1, 3, 2, 1]));
    expect(image.shape).toEqual([1, 3, 2, 1]);
    expect([...image.data]).toEqual([255, 0, 0, 0, 0, 128]);
  });

  test('becomes interleaved channels', async () => {
    const image = await readImage(file, layoutOf('UINT8', [2, 1, 3]));
    expect(image.shape).toEqual([2, 1, 3]);
    expect([...image.data]).toEqual([255, 0, 0, 0, 0, 128]);
  });

  test('becomes numbers from 0 to 1 for FP32', async () => {
    const image = await readImage(file, layoutOf('FP32', [-1, 3, 2, 1]));
    expect(image.data).toEqual(new Float32Array([1, 0, 0, 0, 0, 128 / 255]));
  });

  test('is stretched to the size of the model, and keeps its own where the model takes any', async () => {
    expect((await readImage(file, layoutOf('UINT8', [-1, 3, 4, 6]))).shape).toEqual([1, 3, 4, 6]);
    expect((await readImage(file, layoutOf('UINT8', [-1, 3, -1, -1]))).shape).toEqual([1, 3, 2, 1]);
    expect((await readImage(file, layoutOf('UINT8', [-1, 3, 4, -1]))).shape).toEqual([1, 3, 4, 2]);
  });

  test('becomes grey for a model of one channel, and three equal channels where it is grey itself', async () => {
    expect((await readImage(file, layoutOf('UINT8', [-1, 1, 2, 1]))).data).toHaveLength(2);
    const grey = join(folder, 'grey.png');
    await sharp(new Uint8Array([10, 200]), { raw: { width: 1, height: 2, channels: 1 } })
      .png()
      .toFile(grey);
    expect([...(await readImage(grey, layoutOf('UINT8', [-1, 3, 2, 1]))).data]).toEqual([10, 200, 10, 200, 10, 200]);
  });

  test('is turned upright as its EXIF data asks', async () => {
    const turned = join(folder, 'turned.jpg');
    await sharp(pixels, { raw: { width: 1, height: 2, channels: 4 } })
      .removeAlpha()
      .withMetadata({ orientation: 6 })
      .jpeg()
      .toFile(turned);
    expect((await readImage(turned, layoutOf('UINT8', [-1, 3, -1, -1]))).shape).toEqual([1, 3, 1, 2]);
  });

  test('that is missing or no image is refused by its name', async () => {
    const text = join(folder, 'text.png');
    await writeFile(text, 'no image');
    const layout = layoutOf('UINT8', [-1, 3, 2, 1]);
    await expect(readImage(text, layout)).rejects.toThrow(`cannot read image '${text}'`);
    await expect(readImage(join(folder, 'none.png'), layout)).rejects.toThrow(CliError);
  });
});
