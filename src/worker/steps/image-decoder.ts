/** Decoding of image files by sharp, within bounds that are checked against the header before a pixel is decoded. */

import type { Sharp, SharpOptions } from 'sharp';
import { messageOf } from '../../error-message.ts';
import type { ImageSize } from '../step-spec.ts';
import type { ImageFile, ImageFormat } from './image-bytes.ts';
import type { Pixels } from './resample.ts';
import { refused } from './step.ts';

type SharpLibrary = typeof import('sharp').default;

/** The version that package.json names. */
export const SHARP_VERSION = '0.35.5';
/** The loaders of libvips that may run: there are others, for formats with more code and more holes. */
const LOADERS = ['VipsForeignLoadJpegBuffer', 'VipsForeignLoadPngBuffer', 'VipsForeignLoadWebpBuffer'];
/** A file that ends too early is refused. Profiles of colours are ignored, as Pillow does. The limit of pixels is ours. */
const INPUT: SharpOptions = { failOn: 'error', ignoreIcc: true, limitInputPixels: false };
/** A JPEG is decoded at a part of its size where this factor or more remains for the resize. */
const LEAST_SHRINK_LEFT = 2;
/** The parts that libjpeg decodes to. */
const JPEG_SHRINKS = [8, 4, 2] as const;
const CHANNELS = 3;
/** A PNG of one pixel. */
const SMALLEST =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAACXBIWXMAAAPoAAAD6AG1e1JrAAAADElEQVR4nGNgYGAAAAAEAAH2FzhVAAAAAElFTkSuQmCC';

export class ImageDecoder {
  readonly #sharp: SharpLibrary;
  readonly #maxPixels: number;

  /** @throws Error that says what to install, where the library is missing */
  static async open(maxPixels: number): Promise<ImageDecoder> {
    const sharp = await loadSharp();
    // One image at a time, in one thread: instances are the unit of parallel work.
    sharp.concurrency(1);
    sharp.cache(false);
    sharp.block({ operation: ['VipsForeignLoad'] });
    sharp.unblock({ operation: LOADERS });
    const decoder = new ImageDecoder(sharp, maxPixels);
    // The first image of a process is slow.
    await decoder.decode({ format: 'PNG', bytes: Buffer.from(SMALLEST, 'base64') }, 'a first image', (size) => size);
    return decoder;
  }

  private constructor(sharp: SharpLibrary, maxPixels: number) {
    this.#sharp = sharp;
    this.#maxPixels = maxPixels;
  }

  /**
   * An upright image in sRGB with 8 bits, and its size before any shrinking.
   * @param where such as `element 0 of input 'image'`
   * @param sizeFor the size that it is resized to, by its own
   * @throws RunFailure
   */
  async decode(
    { format, bytes }: ImageFile,
    where: string,
    sizeFor: (size: ImageSize) => ImageSize,
  ): Promise<{ readonly pixels: Pixels; readonly size: ImageSize }> {
    const size = await this.#sizeOf(bytes, format, where);
    const { width, height } = size;
    if (width * height > this.#maxPixels) {
      throw refused(
        `${where} has ${width} x ${height} pixels, expected at most ${this.#maxPixels} pixels (tensorgate.image.max_pixels)`,
      );
    }
    const image = this.#sharp(bytes, INPUT).autoOrient();
    if (format === 'JPEG') shrink(image, size, sizeFor(size));
    try {
      const { data, info } = await image
        .removeAlpha()
        .toColourspace('srgb')
        .raw({ depth: 'uchar' })
        .toBuffer({ resolveWithObject: true });
      if (info.channels !== CHANNELS) throw refused(`${where} has ${info.channels} channels, expected colours or grey`);
      return { pixels: { width: info.width, height: info.height, channels: CHANNELS, data }, size };
    } catch (error) {
      throw unreadable(where, format, error);
    }
  }

  /** By the header, upright. */
  async #sizeOf(bytes: Buffer, format: ImageFormat, where: string): Promise<ImageSize> {
    try {
      const { autoOrient } = await this.#sharp(bytes, INPUT).metadata();
      return autoOrient;
    } catch (error) {
      throw unreadable(where, format, error);
    }
  }
}

/** Lets libjpeg decode fewer pixels of an image that gets much smaller: a photo of 12 megapixels takes a fourth of the time. */
function shrink(image: Sharp, { width, height }: ImageSize, target: ImageSize): void {
  const ratio = Math.min(width / target.width, height / target.height) / LEAST_SHRINK_LEFT;
  const factor = JPEG_SHRINKS.find((each) => each <= ratio);
  if (factor === undefined) return;
  const part = { width: Math.floor(width / factor), height: Math.floor(height / factor) };
  image.resize({ ...part, fit: 'fill', kernel: 'linear', fastShrinkOnLoad: true });
}

function unreadable(where: string, format: ImageFormat, error: unknown): unknown {
  if (!(error instanceof Error) || error.name === 'RunFailure') return error;
  return refused(`${where} is a ${format} that cannot be decoded: ${messageOf(error).replaceAll(/\s*\n\s*/g, '; ')}`);
}

async function loadSharp(): Promise<SharpLibrary> {
  try {
    return (await import('sharp')).default;
  } catch (error) {
    throw new Error(
      `the platform tensorgate_image needs the package sharp: run npm install sharp@${SHARP_VERSION} (${messageOf(error)})`,
      { cause: error },
    );
  }
}
