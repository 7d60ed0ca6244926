/** CIFAR-10 as JPEGs in an archive beside the checkout, if there is one: `train/<class>/*.jpg`, `test/<class>/*.jpg`. */

import { closeSync, existsSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import type { Feeds } from '../../src/compress/model-run.ts';

const ARCHIVE = fileURLToPath(new URL('../../../shared/data/cifar10-jpeg.zip', import.meta.url));
const IMAGES = fileURLToPath(new URL('../../examples/cifar10/images/', import.meta.url));

export const CLASSES = ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck'];
export const PIXEL_BYTES = 3 * 32 * 32;

export interface LabelledImage {
  /** UINT8 [3,32,32]. */
  readonly pixels: Uint8Array;
  readonly label: number;
}

/** Some images from all over a part of the archive, or `undefined` (said loudly) where it is not there. */
export async function cifar10(part: 'train' | 'test', count: number): Promise<LabelledImage[] | undefined> {
  if (!existsSync(ARCHIVE)) {
    console.warn(`SKIPPED: ${ARCHIVE} is not there; what needs all of CIFAR-10 is not tested`);
    return undefined;
  }
  const file = openSync(ARCHIVE, 'r');
  try {
    const entries = readEntries(file, statSync(ARCHIVE).size).filter(({ name }) => name.startsWith(`${part}/`));
    const chosen = Array.from({ length: count }, (_, i) => entries[Math.floor((i * entries.length) / count)]);
    return await Promise.all(
      chosen.map(async (entry) => {
        const { name = '', offset = 0, length = 0 } = entry ?? {};
        const pixels = await planesOf(readAt(file, offset, length));
        return { pixels, label: CLASSES.indexOf(name.split('/')[1] ?? '') };
      }),
    );
  } finally {
    closeSync(file);
  }
}

/** The ten images of the demo. */
export async function demoImages(): Promise<LabelledImage[]> {
  const names = ['airplane-0524', 'automobile-0423', 'bird-0575', 'cat-0823', 'deer-0322'].concat([
    'dog-0239',
    'frog-0533',
    'horse-0298',
    'ship-0160',
    'truck-0861',
  ]);
  return Promise.all(
    names.map(async (name, label) => ({ pixels: await planesOf(readFileSync(`${IMAGES}${name}.png`)), label })),
  );
}

/** Images as the example model takes them, so many at once. */
export function* imageFeeds(images: readonly LabelledImage[], rows: number): Generator<Feeds> {
  for (let from = 0; from < images.length; from += rows) {
    const part = images.slice(from, from + rows);
    const data = Buffer.concat(part.map(({ pixels }) => pixels));
    yield new Map([['image', { datatype: 'UINT8', shape: [part.length, 3, 32, 32], data }]]);
  }
}

async function planesOf(encoded: Uint8Array): Promise<Uint8Array> {
  const pixels = await sharp(encoded).removeAlpha().toColourspace('srgb').raw().toBuffer();
  const planes = new Uint8Array(PIXEL_BYTES);
  for (let at = 0; at < 1024; at++) for (let c = 0; c < 3; c++) planes[c * 1024 + at] = pixels[at * 3 + c] ?? 0;
  return planes;
}

interface Entry {
  readonly name: string;
  readonly offset: number;
  readonly length: number;
}

/** The archive's directory (PKWARE APPNOTE 4.3); its images are stored, not packed. */
function readEntries(file: number, size: number): Entry[] {
  const tail = readAt(file, size - 22, 22);
  const directory = readAt(file, tail.readUInt32LE(16), tail.readUInt32LE(12));
  const entries: Entry[] = [];
  for (let at = 0; at < directory.length; ) {
    const nameLength = directory.readUInt16LE(at + 28);
    const length = directory.readUInt32LE(at + 24);
    const local = directory.readUInt32LE(at + 42);
    const name = directory.toString('utf8', at + 46, at + 46 + nameLength);
    // The local header has the same name, and extra fields of its own.
    const extra = readAt(file, local + 28, 2).readUInt16LE(0);
    entries.push({ name, offset: local + 30 + nameLength + extra, length });
    at += 46 + nameLength + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32);
  }
  return entries;
}

function readAt(file: number, offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  if (readSync(file, bytes, 0, length, offset) !== length) throw new Error('the archive is cut off');
  return bytes;
}
