/** Images: files to pixels, as the processors of Hugging Face's libraries prepare them for models. */

import { toFp16 } from '../../wire/half-precision.ts';
import type { ImageOptions, ImageSize } from '../step-spec.ts';
import { imageFileOf } from './image-bytes.ts';
import { ImageDecoder } from './image-decoder.ts';
import { centerCut, resizedSize } from './image-geometry.ts';
import { type Pixels, resample } from './resample.ts';
import {
  binariesOf,
  bytesOfArray,
  refused,
  type Step,
  type StepDescription,
  type StepInput,
  type StepOutput,
  tensorOf,
} from './step.ts';

type Values = Float32Array | Uint16Array | Uint8Array;

const ARRAYS = { FP32: Float32Array, FP16: Uint16Array, UINT8: Uint8Array } as const;
const BYTE_VALUES = 256;
/** Weights of ITU-R 601 in 16 bits, as Pillow makes grey of colours. */
const LUMA = [19_595, 38_470, 7_471] as const;

export class ImageStep implements Step {
  readonly #options: ImageOptions;
  readonly #decoder: ImageDecoder;
  /** By channel of the result: the value of each byte. */
  readonly #values: readonly Values[];

  /** @throws Error where the library for images is missing */
  static async open(options: ImageOptions): Promise<ImageStep> {
    return new ImageStep(options, await ImageDecoder.open(options.maxPixels));
  }

  private constructor(options: ImageOptions, decoder: ImageDecoder) {
    this.#options = options;
    this.#decoder = decoder;
    this.#values = Array.from({ length: this.#channels }, (_, channel) => valuesOf(options, channel));
  }

  get #channels(): number {
    return this.#options.color === 'GRAY' ? 1 : 3;
  }

  /** `image` BYTES [images] -> `pixel_values` [images, channels, height, width], or the channels last. */
  describe(): StepDescription {
    const { crop, resize, layout, datatype, maxImageBytes } = this.#options;
    const fixed = crop ?? (resize !== undefined && 'width' in resize ? resize : undefined);
    const [height, width] = [fixed?.height ?? 'height', fixed?.width ?? 'width'];
    const axes = layout === 'NCHW' ? [this.#channels, height, width] : [height, width, this.#channels];
    const elements = { maxBytes: maxImageBytes, setting: 'max_image_bytes', isBinary: true };
    return {
      inputs: [tensorOf('image', 'BYTES', [''], elements)],
      outputs: [tensorOf('pixel_values', datatype, ['', ...axes])],
      unbatched: 'images are decoded one by one: their pixels share batches in the model behind',
      hasOwnThreads: true,
    };
  }

  async run([images]: readonly StepInput[]): Promise<readonly StepOutput[]> {
    if (images === undefined) throw new TypeError('expected images');
    const sent = binariesOf(images);
    if (sent.length === 0) throw refused("input 'image' holds no image, expected at least one");
    let size: ImageSize | undefined;
    let result: Values | undefined;
    for (const [index, each] of sent.entries()) {
      const where = `element ${index} of input 'image'`;
      const pixels = await this.#pixelsOf(each, where);
      const { width, height, data } = pixels;
      size ??= { width, height };
      if (width !== size.width || height !== size.height) {
        const got = `${where} has ${width} x ${height} pixels in the end, and element 0 ${size.width} x ${size.height}`;
        throw refused(`${got}: expected equal sizes (set tensorgate.image.crop, or send images one by one)`);
      }
      result ??= new ARRAYS[this.#options.datatype](data.length * sent.length);
      this.#write(pixels, result.subarray(index * data.length, (index + 1) * data.length));
    }
    if (size === undefined || result === undefined) throw new TypeError('expected an image');
    const { width, height } = size;
    const row = this.#options.layout === 'NCHW' ? [this.#channels, height, width] : [height, width, this.#channels];
    return [{ shape: [sent.length, ...row], data: bytesOfArray(result) }];
  }

  /** Resized and cut, with the channels of the result. */
  async #pixelsOf(sent: Uint8Array, where: string): Promise<Pixels> {
    const { resize, crop, filter, color } = this.#options;
    const file = imageFileOf(sent, where);
    const sizeFor = (own: ImageSize): ImageSize => resizedSize(own, resize);
    const { pixels, size } = await this.#decoder.decode(file, where, sizeFor);
    const resized = sizeFor(size);
    const wanted = crop ?? resized;
    if (wanted.width * wanted.height > this.#options.maxPixels) {
      throw refused(`${where} would get ${wanted.width} x ${wanted.height} pixels: more than max_pixels`);
    }
    const { window, left, top } = centerCut(resized, wanted);
    const source = color === 'GRAY' ? greyOf(pixels) : pixels;
    return placed(resample(source, resized, window, filter), wanted, left, top);
  }

  #write({ data, channels }: Pixels, into: Values): void {
    const { layout, color } = this.#options;
    const plane = data.length / channels;
    const [step, next] = layout === 'NCHW' ? [1, plane] : [channels, 1];
    for (let channel = 0; channel < channels; channel++) {
      const values = this.#values[channel];
      if (values === undefined) throw new TypeError(`no channel ${channel}`);
      const from = color === 'BGR' ? channels - 1 - channel : channel;
      let target = channel * next;
      for (let source = from; source < data.length; source += channels, target += step) {
        into[target] = values[data[source] as number] as number;
      }
    }
  }
}

/** The value of each byte in a channel: scaled, less the mean, by the deviation, rounded as numpy rounds. */
function valuesOf({ datatype, scale, mean, std }: ImageOptions, channel: number): Values {
  if (datatype === 'UINT8') return Uint8Array.from({ length: BYTE_VALUES }, (_, byte) => byte);
  const own = (list: readonly number[]): number => Math.fround(list[channel] ?? list[0] ?? 0);
  const values = Float32Array.from({ length: BYTE_VALUES }, (_, byte) => {
    return Math.fround(Math.fround(byte * scale) - own(mean)) / own(std);
  });
  return datatype === 'FP32' ? values : Uint16Array.from(values, toFp16);
}

function greyOf({ data, width, height }: Pixels): Pixels {
  const grey = new Uint8Array(width * height);
  const [red, green, blue] = LUMA;
  for (let at = 0, source = 0; at < grey.length; at++, source += 3) {
    const sum =
      (data[source] as number) * red + (data[source + 1] as number) * green + (data[source + 2] as number) * blue;
    grey[at] = (sum + 0x8000) >> 16;
  }
  return { width, height, channels: 1, data: grey };
}

/** The image on black, where it is smaller than the result. */
function placed(pixels: Pixels, size: ImageSize, left: number, top: number): Pixels {
  const { channels, data } = pixels;
  if (pixels.width === size.width && pixels.height === size.height) return pixels;
  const result = new Uint8Array(size.width * size.height * channels);
  const line = pixels.width * channels;
  for (let row = 0; row < pixels.height; row++) {
    const at = ((top + row) * size.width + left) * channels;
    result.set(data.subarray(row * line, (row + 1) * line), at);
  }
  return { ...size, channels, data: result };
}
