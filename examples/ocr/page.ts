import { readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { type InferenceClient, tensor } from '../../src/client/inference-client.ts';

const LINES = fileURLToPath(new URL('lines/', import.meta.url));

export interface PageLine {
  readonly text: string;
  /** The mean probability of its characters. */
  readonly confidence: number;
  /** Left, top, width and height in pixels. */
  readonly box: readonly number[];
}

/** A white page with the pictures of `lines/` below each other, as PNG. */
export async function makePage(): Promise<Buffer> {
  const files = (await readdir(LINES)).filter((file) => file.endsWith('.png')).sort();
  const places = files.map((file, at) => ({ input: LINES + file, left: 40 + 30 * at, top: 60 + 110 * at }));
  const page = { width: 640, height: 120 + 110 * files.length, channels: 3, background: 'white' } as const;
  return sharp({ create: page }).composite(places).removeAlpha().png().toBuffer();
}

/** Asks for the lines of a picture of a page. */
export async function readPage(client: InferenceClient, picture: Buffer): Promise<PageLine[]> {
  const { data, info } = await sharp(picture).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  const page = tensor.uint8(new Uint8Array(data), [info.height, info.width, 3]);
  const result = await client.infer('read_page', { page });
  const confidence = result.output('confidence', 'FP32').data;
  const boxes = [...result.output('box', 'INT32').data];
  return result
    .output('text', 'BYTES')
    .strings()
    .map((text, at) => ({ text, confidence: confidence[at] ?? 0, box: boxes.slice(4 * at, 4 * at + 4) }));
}
