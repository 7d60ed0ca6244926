import { crc32, deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import packageJson from '../../../package.json' with { type: 'json' };
import { RunFailure } from '../../../src/worker/run-failure.ts';
import type { ImageOptions } from '../../../src/worker/step-spec.ts';
import { ImageStep } from '../../../src/worker/steps/image.ts';
import { SHARP_VERSION } from '../../../src/worker/steps/image-decoder.ts';
import { imageOf, plainImage } from '../../support/image-exports.ts';

const BYTES: ImageOptions = {
  kind: 'image',
  filter: 'bilinear',
  color: 'RGB',
  scale: 1 / 255,
  mean: [0],
  std: [1],
  layout: 'NCHW',
  datatype: 'UINT8',
  maxImageBytes: 1_000_000,
  maxPixels: 1_000_000,
};

async function pixelsOf(images: readonly Uint8Array[], options: Partial<ImageOptions> = {}) {
  const step = await ImageStep.open({ ...BYTES, ...options });
  const [output] = await step.run([{ shape: [images.length], data: images }]);
  if (output === undefined) throw new TypeError('no output');
  const { buffer, byteOffset, byteLength } = output.data as Uint8Array<ArrayBuffer>;
  return { shape: output.shape, bytes: new Uint8Array(buffer, byteOffset, byteLength), buffer };
}

const valuesOf = async (image: Uint8Array, options: Partial<ImageOptions> = {}): Promise<number[]> => [
  ...(await pixelsOf([image], options)).bytes,
];

/** The reason for which an image is refused. */
async function refusalOf(images: readonly Uint8Array[], options: Partial<ImageOptions> = {}): Promise<string> {
  const failure: unknown = await pixelsOf(images, options).catch((error: unknown) => error);
  if (!(failure instanceof RunFailure) || failure.outcome.kind !== 'refused') throw failure;
  return failure.outcome.message;
}

/** Red, green; blue, white. */
const FOUR = [255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255];

describe('pixels', () => {
  test('are planes of channels, or lie together', async () => {
    const image = await imageOf(2, FOUR);
    expect(await valuesOf(image)).toEqual([255, 0, 0, 255, 0, 255, 0, 255, 0, 0, 255, 255]);
    expect(await valuesOf(image, { layout: 'NHWC' })).toEqual(FOUR);
    expect(await valuesOf(image, { layout: 'NHWC', color: 'BGR' })).toEqual([
      0, 0, 255, 0, 255, 0, 255, 0, 0, 255, 255, 255,
    ]);
    expect(await valuesOf(image, { color: 'GRAY' })).toEqual([76, 150, 29, 255]);
  });

  test('are scaled and normalized by channel, in single and in half precision', async () => {
    const options = { mean: [0.5, 0.25, 0], std: [0.5, 0.25, 1] };
    const image = await imageOf(1, [255, 0, 51]);
    const { buffer, shape } = await pixelsOf([image], { ...options, datatype: 'FP32' });
    expect(shape).toEqual([1, 3, 1, 1]);
    expect([...new Float32Array(buffer)]).toEqual([1, -1, Math.fround(0.2)]);
    const half = await pixelsOf([image], { ...options, datatype: 'FP16' });
    expect([...new Uint16Array(half.buffer)]).toEqual([0x3c00, 0xbc00, 0x3266]);
  });

  test('from several images are one tensor, where their sizes are equal', async () => {
    const images = [await plainImage('red'), await plainImage('blue', 'jpeg', 30, 30)];
    const { shape } = await pixelsOf(images, { resize: { width: 4, height: 6 } });
    expect(shape).toEqual([2, 3, 6, 4]);
    expect(await refusalOf(images)).toContain(
      "element 1 of input 'image' has 30 x 30 pixels in the end, and element 0 20 x 10",
    );
  });

  test('keep proportions by the shorter edge, and are cut in the middle', async () => {
    const image = await plainImage('red', 'png', 100, 50);
    const resize = { shortestEdge: 10 };
    expect((await pixelsOf([image], { resize })).shape).toEqual([1, 3, 10, 20]);
    expect((await pixelsOf([image], { resize, crop: { width: 8, height: 8 } })).shape).toEqual([1, 3, 8, 8]);
  });

  test('have black around a smaller image', async () => {
    const values = await valuesOf(await imageOf(1, [9, 9, 9]), { crop: { width: 3, height: 3 }, color: 'GRAY' });
    expect(values).toEqual([0, 0, 0, 0, 9, 0, 0, 0, 0]);
  });
});

describe('an image', () => {
  test.each(['jpeg', 'png', 'webp'] as const)('file in %s gives its colours', async (format) => {
    const [red = 0, green = 255] = await valuesOf(await plainImage('#ff0000', format), { layout: 'NHWC' });
    expect(red).toBeGreaterThan(250);
    expect(green).toBeLessThan(5);
  });

  test('is taken in Base64, and as a data URI', async () => {
    const image = await imageOf(2, FOUR, 'webp');
    const base64 = image.toString('base64');
    const plain = await valuesOf(image);
    expect(await valuesOf(Buffer.from(base64))).toEqual(plain);
    expect(await valuesOf(Buffer.from(`data:image/webp;base64,${base64}`))).toEqual(plain);
  });

  test('from a camera on its side is turned upright', async () => {
    const image = await sharp(await plainImage('red', 'jpeg', 20, 10))
      .withMetadata({ orientation: 6 })
      .toBuffer();
    expect((await pixelsOf([image])).shape).toEqual([1, 3, 20, 10]);
  });

  test('with transparency, a palette, grey, or 16 bits becomes colours of 8 bits', async () => {
    const source = sharp(await imageOf(2, FOUR));
    const clear = await sharp({
      create: { width: 2, height: 2, channels: 4, background: { r: 9, g: 8, b: 7, alpha: 0 } },
    })
      .png()
      .toBuffer();
    expect((await valuesOf(clear, { layout: 'NHWC' })).slice(0, 3)).toEqual([9, 8, 7]);
    expect(await valuesOf(await source.clone().png({ palette: true }).toBuffer(), { layout: 'NHWC' })).toEqual(FOUR);
    const grey = await sharp(await imageOf(1, [200, 200, 200]))
      .toColourspace('b-w')
      .png()
      .toBuffer();
    expect(await valuesOf(grey)).toEqual([200, 200, 200]);
    const deep = await source.clone().toColourspace('rgb16').png().toBuffer();
    expect((await sharp(deep).metadata()).depth).toBe('ushort');
    expect(await valuesOf(deep, { layout: 'NHWC' })).toEqual(FOUR);
  });

  test('in colours of print becomes colours of a screen', async () => {
    const image = await sharp(await plainImage('white', 'jpeg'))
      .toColourspace('cmyk')
      .jpeg()
      .toBuffer();
    expect((await sharp(image).metadata()).channels).toBe(4);
    const values = await valuesOf(image);
    expect(values).toHaveLength(20 * 10 * 3);
    expect(Math.min(...values)).toBeGreaterThan(240);
  });

  test('with a film gives its first picture', async () => {
    const frames = Buffer.concat([Buffer.alloc(12, 255), Buffer.alloc(12, 0)]);
    const image = await sharp(frames, { raw: { width: 2, height: 4, channels: 3, pageHeight: 2 } })
      .webp({ lossless: true })
      .toBuffer();
    expect((await sharp(image).metadata()).pages).toBe(2);
    expect(await valuesOf(image)).toEqual(Array(12).fill(255));
  });
});

describe('a refusal names the image and says', () => {
  test.each([
    ['that it is empty', '', 'it is empty'],
    ['how a text begins', 'how are you', 'it begins with \\"how are you'],
    ['how other formats begin', 'GIF89a', 'it begins with \\"GIF89a'],
    ['how Base64 of something else begins', 'R0lGODlhAQABAAAAACw=', 'R0lGODlhAQAB'],
  ])('%s', async (_, text, part) => {
    const reason = JSON.stringify(await refusalOf([await plainImage('red'), Buffer.from(text)]));
    expect(reason).toContain("element 1 of input 'image' is no image: expected a JPEG, PNG or WebP file");
    expect(reason).toContain(part);
  });

  test('no drawing is executed', async () => {
    const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>';
    expect(await refusalOf([Buffer.from(svg)])).toContain('is no image');
  });

  test.each(['jpeg', 'png', 'webp'] as const)('that a %s ends too early', async (format) => {
    const noise = await sharp({
      create: {
        width: 64,
        height: 64,
        channels: 3,
        background: 'red',
        noise: { type: 'gaussian', mean: 128, sigma: 50 },
      },
    })
      .toFormat(format)
      .toBuffer();
    const reason = await refusalOf([noise.subarray(0, noise.length / 2)]);
    expect(reason).toMatch(/element 0 of input 'image' is a (JPEG|PNG|WebP) that cannot be decoded: /);
  });

  test('that a few bytes stand for too many pixels, which are not decoded', async () => {
    const bomb = largePng(30_000, 30_000);
    expect(bomb.length).toBeLessThan(10_000_000);
    const started = process.cpuUsage();
    const reason = await refusalOf([bomb], { maxPixels: 50_000_000 });
    expect(reason).toContain(
      'has 30000 x 30000 pixels, expected at most 50000000 pixels (tensorgate.image.max_pixels)',
    );
    // To decode it takes seconds.
    expect(process.cpuUsage(started).user / 1_000).toBeLessThan(500);
  });
});

test('the version that an error names is the version of the package', () => {
  expect(SHARP_VERSION).toBe(packageJson.dependencies.sharp);
});

/** A PNG of black pixels with one bit each. */
function largePng(width: number, height: number): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = 1;
  const data = deflateSync(Buffer.alloc((width / 8 + 1) * height));
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', data), chunk('IEND', Buffer.alloc(0))]);
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type), data]);
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, sum]);
}
