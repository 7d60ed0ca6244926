/** Pictures of text as PaddleOCR's models take them: FP32 [1,3,height,width], from -1 to 1. */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import type { Feeds } from '../../src/compress/model-run.ts';

const LINES = fileURLToPath(new URL('../../examples/ocr/lines/', import.meta.url));

export type Line = 'answer' | 'queue' | 'upside-down';

/** A line upright and on its head; dark on light, faint, and light on dark; long and short. */
export async function linesOf(line: Line): Promise<Feeds[]> {
  const feeds: Feeds[] = [];
  for (const angle of [0, 180]) {
    for (const [slope, offset] of [
      [1, 0],
      [0.6, 40],
      [-1, 255],
    ] as const) {
      for (const width of [192, 140]) {
        const turned = await sharp(picture(line)).removeAlpha().linear(slope, offset).rotate(angle).png().toBuffer();
        const sized = await sharp(turned).resize(width, 48, { fit: 'fill' }).png().toBuffer();
        feeds.push(
          await planes(
            await sharp(sized)
              .extend({ right: 192 - width, background: 'white' })
              .png()
              .toBuffer(),
          ),
        );
      }
    }
  }
  return feeds;
}

/** Pages of 320 by 320 with these lines at several places and sizes. */
export async function pagesOf(lines: readonly Line[], count: number): Promise<Feeds[]> {
  return Promise.all(
    Array.from({ length: count }, async (_, page) => {
      const parts = lines.map(async (line, index) => ({
        input: await sharp(picture(line))
          .resize(160 + 20 * page)
          .png()
          .toBuffer(),
        left: 10 + 5 * page,
        top: 10 + 9 * page + index * (70 + 5 * page),
      }));
      const background = page % 2 === 0 ? 'white' : '#dddddd';
      const paper = sharp({ create: { width: 320, height: 320, channels: 3, background } });
      return planes(
        await paper
          .composite(await Promise.all(parts))
          .png()
          .toBuffer(),
      );
    }),
  );
}

function picture(line: Line): Buffer {
  return readFileSync(`${LINES}${line}.png`);
}

async function planes(encoded: Buffer): Promise<Feeds> {
  const { data, info } = await sharp(encoded)
    .removeAlpha()
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true });
  const { width, height } = info;
  const size = width * height;
  const values = Float32Array.from({ length: 3 * size }, (_, at) => {
    const value = data[(at % size) * 3 + Math.floor(at / size)] ?? 0;
    return (value / 255 - 0.5) / 0.5;
  });
  const shape = [1, 3, height, width];
  return new Map([['x', { datatype: 'FP32', shape, data: new Uint8Array(values.buffer) }]]);
}
