import { type AnyTensor, type ModelMetadata, type Shape, tensor } from '../client/inference-client.ts';
import { messageOf } from '../error-message.ts';
import { CliError } from './cli-error.ts';
import { describeTensors } from './model-signature.ts';

/** How a model takes an image. */
export interface ImageLayout {
  /** Name of the input that takes the image. */
  readonly input: string;
  /** UINT8 takes 0 to 255, FP32 takes 0 to 1. */
  readonly datatype: 'UINT8' | 'FP32';
  readonly order: 'CHW' | 'HWC';
  readonly channels: 1 | 3;
  /** In pixels; `undefined` where the model takes any. */
  readonly height: number | undefined;
  readonly width: number | undefined;
  /** Whether an axis for the batch comes first. */
  readonly batched: boolean;
}

/**
 * Reads from the metadata of a model how it takes one image.
 * @throws CliError where it takes none
 */
export function findImageLayout(metadata: ModelMetadata): ImageLayout {
  const [spec, ...more] = metadata.inputs;
  const { datatype } = spec ?? {};
  if (spec === undefined || more.length > 0 || (datatype !== 'UINT8' && datatype !== 'FP32')) throw noImage(metadata);
  const batched = spec.shape.length === 4;
  const [batch, ...sizes] = batched ? spec.shape : [1, ...spec.shape];
  const [first, second, third] = sizes;
  if (first === undefined || second === undefined || third === undefined || sizes.length > 3 || (batch ?? 0) > 1) {
    throw noImage(metadata);
  }
  const layout = { input: spec.name, datatype, batched } as const;
  if (first === 1 || first === 3) {
    return { ...layout, order: 'CHW', channels: first, height: toPixels(second), width: toPixels(third) };
  }
  if (third === 1 || third === 3) {
    return { ...layout, order: 'HWC', channels: third, height: toPixels(first), width: toPixels(second) };
  }
  throw noImage(metadata);
}

function toPixels(size: number): number | undefined {
  return size > 0 ? size : undefined;
}

function noImage(metadata: ModelMetadata): CliError {
  return new CliError(
    `model '${metadata.name}' takes ${describeTensors(metadata.inputs)}, which no image fits: images need a single ` +
      'input of UINT8 or FP32 with shape [N,C,H,W] or [N,H,W,C] and 1 or 3 channels',
  );
}

/**
 * Decodes an image file, in whatever format sharp knows, turns it upright, and stretches it to the size that the model takes.
 * @throws CliError where the file cannot be read as an image
 */
export async function readImage(file: string, layout: ImageLayout): Promise<AnyTensor> {
  const { channels, height, width } = layout;
  const { data, info } = await decode(file, layout).catch((error: unknown) => {
    throw new CliError(`cannot read image '${file}': ${messageOf(error)}`, { cause: error });
  });
  if (info.channels !== channels || info.height !== (height ?? info.height) || info.width !== (width ?? info.width)) {
    throw new CliError(`cannot convert image '${file}' to ${channels} channels of the size that the model takes`);
  }
  const pixels = layout.order === 'HWC' ? data : toPlanes(data, channels);
  const sizes = layout.order === 'HWC' ? [info.height, info.width, channels] : [channels, info.height, info.width];
  const shape = layout.batched ? [1, ...sizes] : sizes;
  return layout.datatype === 'UINT8'
    ? tensor.uint8(pixels, shape)
    : tensor.fp32(
        Float32Array.from(pixels, (value) => value / 255),
        shape,
      );
}

async function decode(file: string, { channels, height, width }: ImageLayout) {
  // Only images need this library, which brings native code.
  const { default: sharp } = await import('sharp');
  const image = sharp(file)
    .autoOrient()
    .removeAlpha()
    .toColourspace(channels === 1 ? 'b-w' : 'srgb');
  // Where the model leaves one of the two open, the image keeps its proportions.
  if (height !== undefined && width !== undefined) image.resize({ height, width, fit: 'fill' });
  else if (height !== undefined || width !== undefined) image.resize({ height, width });
  return image.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true });
}

/** From interleaved channels (RGBRGB…) to one plane per channel (RR…GG…BB…). */
function toPlanes(pixels: Uint8Array, channels: number): Uint8Array {
  const plane = pixels.length / channels;
  const planes = new Uint8Array(pixels.length);
  for (let i = 0; i < pixels.length; i += 1) planes[(i % channels) * plane + Math.floor(i / channels)] = pixels[i] ?? 0;
  return planes;
}

/** The raw contents of one image, as a model takes it. */
export interface RawImage {
  readonly data: Uint8Array;
  readonly layout: ImageLayout;
  /** Without an axis for the batch. */
  readonly sizes: Shape;
}

/** Longest side of a picture for a page. */
const PICTURE_SIDE = 192;

/**
 * A small picture of an image file, or of the raw contents of an input that takes images: a data URI of a PNG.
 * @returns undefined where it cannot be made
 */
export async function pictureOf(source: string | RawImage): Promise<string | undefined> {
  const { default: sharp } = await import('sharp');
  try {
    const image =
      typeof source === 'string' ? sharp(source).autoOrient() : sharp(toInterleaved(source), { raw: rawOf(source) });
    const fit = { width: PICTURE_SIDE, height: PICTURE_SIDE, fit: 'inside', withoutEnlargement: true } as const;
    const png = await image.resize(fit).png().toBuffer();
    return `data:image/png;base64,${png.toString('base64')}`;
  } catch {
    return undefined;
  }
}

function rawOf({ layout: { order, channels }, sizes }: RawImage) {
  const [height = 0, width = 0] = order === 'CHW' ? sizes.slice(1) : sizes;
  return { width, height, channels };
}

/** Bytes as a PNG has them, from what `readImage` makes. */
function toInterleaved({ data, layout }: Pick<RawImage, 'data' | 'layout'>): Uint8Array {
  const values =
    layout.datatype === 'UINT8'
      ? data
      : Uint8Array.from(new Float32Array(Uint8Array.from(data).buffer), (value) =>
          Math.min(255, Math.max(0, value * 255)),
        );
  if (layout.order === 'HWC') return values;
  const plane = values.length / layout.channels;
  const pixels = new Uint8Array(values.length);
  const { channels } = layout;
  for (let at = 0; at < pixels.length; at += 1)
    pixels[at] = values[(at % channels) * plane + Math.floor(at / channels)] ?? 0;
  return pixels;
}
