/** The pixels that a model gets, against Hugging Face's processors with Pillow. */

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { imageOf, imageSection } from '../../src/gateway/repository/config/image-section.ts';
import { imageSectionOf } from '../../src/gateway/repository/preprocessor-config.ts';
import { ImageStep } from '../../src/worker/steps/image.ts';
import { pythonWithImageProcessors } from '../tools/tools.ts';

const python = pythonWithImageProcessors();

const PROCESSORS = {
  vit: { image_processor_type: 'ViTImageProcessor' },
  clip: { image_processor_type: 'CLIPImageProcessor' },
  resnet: {
    image_processor_type: 'ConvNextImageProcessor',
    size: { shortest_edge: 224 },
    crop_pct: 0.875,
    resample: 3,
  },
  convnext: { image_processor_type: 'ConvNextImageProcessor', size: { shortest_edge: 384 } },
  mobilenet: { image_processor_type: 'MobileNetV2ImageProcessor' },
  lanczos: { image_processor_type: 'SiglipImageProcessor', resample: 1, size: { height: 100, width: 150 } },
  nearest: { image_processor_type: 'ViTImageProcessor', resample: 0 },
  padded: {
    image_processor_type: 'CLIPImageProcessor',
    size: { shortest_edge: 99 },
    crop_size: { height: 120, width: 200 },
  },
};
/** Width, height, format, EXIF orientation. */
const IMAGES = [
  [32, 32, 'png', 1],
  [100, 80, 'jpeg', 1],
  [500, 375, 'jpeg', 6],
  [500, 375, 'webp', 1],
  [481, 1_000, 'png', 1],
] as const;
/** It becomes so much smaller that libjpeg decodes a part of its pixels. */
const PHOTO = [3_001, 2_000, 'jpeg', 1] as const;

interface Case {
  readonly name: string;
  readonly config: (typeof PROCESSORS)[keyof typeof PROCESSORS];
  readonly image: string;
  readonly pixels: string;
}

/** Waves and noise: both smooth and sharp. */
async function writeImage(file: string, [width, height, format, orientation]: (typeof IMAGES)[number] | typeof PHOTO) {
  const data = Buffer.alloc(width * height * 3);
  for (let at = 0; at < data.length; at++) {
    const [x, y, channel] = [Math.floor(at / 3) % width, Math.floor(at / 3 / width), at % 3];
    const noise = (Math.imul(at, 2_654_435_761) >>> 26) - 32;
    data[at] = 128 + 80 * Math.sin(x / (9 + channel * 7)) * Math.cos(y / 23) + noise;
  }
  await sharp(data, { raw: { width, height, channels: 3 } })
    .withMetadata({ orientation })
    .toFormat(format, { lossless: true })
    .toFile(file);
}

/** Differences in steps of a byte. */
async function differences({ config, image, pixels }: Case): Promise<{ readonly most: number; readonly mean: number }> {
  const options = imageOf(imageSection.parse(imageSectionOf(config).section));
  const step = await ImageStep.open(options);
  const [output] = await step.run([{ shape: [1], data: [fs.readFileSync(image)] }]);
  if (output === undefined) throw new TypeError('no output');
  const { buffer, byteOffset, byteLength } = output.data as Uint8Array<ArrayBuffer>;
  const own = new Float32Array(buffer, byteOffset, byteLength / 4);
  const wanted = new Float32Array(Uint8Array.from(fs.readFileSync(pixels)).buffer);
  expect(own).toHaveLength(wanted.length);
  const plane = own.length / options.mean.length;
  const steps = own.map((value, at) => {
    const deviation = options.std[Math.floor(at / plane)] ?? 1;
    return Math.abs(value - (wanted[at] ?? Number.NaN)) * deviation * 255;
  });
  return { most: steps.reduce((a, b) => Math.max(a, b), 0), mean: steps.reduce((a, b) => a + b, 0) / steps.length };
}

describe.skipIf(python === undefined)('pixels', () => {
  if (python === undefined) return;
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tensorgate-test-'));
  afterAll(() => fs.rmSync(folder, { recursive: true }));
  const cases = Object.entries(PROCESSORS).flatMap(([processor, config]) =>
    [...IMAGES, PHOTO].map((image): Case & { readonly isPhoto: boolean } => {
      const [width, height, format] = image;
      const name = `${width}x${height}.${format}`;
      const file = path.join(folder, name);
      return {
        name: `${processor} of ${name}`,
        config,
        image: file,
        pixels: `${file}.${processor}`,
        isPhoto: image === PHOTO,
      };
    }),
  );

  beforeAll(async () => {
    for (const image of [...IMAGES, PHOTO]) {
      await writeImage(path.join(folder, `${image[0]}x${image[1]}.${image[2]}`), image);
    }
    const script = path.join(import.meta.dirname, 'image-pixels.py');
    execFileSync(python, [script], { input: JSON.stringify(cases), stdio: ['pipe', 'ignore', 'pipe'] });
  }, 300_000);

  test('are as from Pillow, to the bit of a byte', async () => {
    for (const each of cases.filter(({ isPhoto }) => !isPhoto)) {
      expect.soft(await differences(each), each.name).toMatchObject({ most: expect.closeTo(0, 3) });
    }
  });

  test('from a photo that becomes much smaller are within some steps of a byte', async () => {
    for (const each of cases.filter(({ isPhoto, name }) => isPhoto && !name.startsWith('nearest'))) {
      const { most, mean } = await differences(each);
      console.log(`${each.name}: at most ${most.toFixed(1)} of 255, ${mean.toFixed(2)} in the mean`);
      expect.soft(most, each.name).toBeLessThan(16);
      expect.soft(mean, each.name).toBeLessThan(2);
    }
  });
});
