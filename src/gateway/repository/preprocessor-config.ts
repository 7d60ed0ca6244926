/** `preprocessor_config.json` of Hugging Face's libraries as options of the step `tensorgate_image`. */

import type { Json } from './exported-files.ts';

/** Values that a processor has where the file leaves them out. */
interface Processor {
  /** A size of one number is the shorter edge, and not a square. */
  readonly keepsProportions: boolean;
  /** Default of `size`: a square, or the shorter edge. */
  readonly size: number;
  /** Default of `crop_size`; absent: nothing is cut. */
  readonly crop?: number;
  /** The number of Pillow for its filter. */
  readonly resample: number;
  readonly mean: readonly number[];
  readonly std: readonly number[];
  /** Below this edge, images are resized to a larger one by `crop_pct`, and cut; from it on they are stretched. */
  readonly stretchedFrom?: number;
}

const HALF = [0.5, 0.5, 0.5];
const HALVES = { mean: HALF, std: HALF };
const CLIP = { mean: [0.48145466, 0.4578275, 0.40821073], std: [0.26862954, 0.26130258, 0.27577711] };
const BILINEAR = 2;
const BICUBIC = 3;
const MOBILE: Processor = { keepsProportions: true, size: 256, crop: 224, resample: BILINEAR, ...HALVES };
const CROPPED: Processor = { keepsProportions: false, size: 256, crop: 224, resample: BICUBIC, ...HALVES };
const CLIPS: Processor = { keepsProportions: true, size: 224, crop: 224, resample: BICUBIC, ...CLIP };

/** By the name of the class, without `ImageProcessor` or `FeatureExtractor`. */
const PROCESSORS: Readonly<Record<string, Processor>> = {
  ViT: { keepsProportions: false, size: 224, resample: BILINEAR, ...HALVES },
  Siglip: { keepsProportions: false, size: 224, resample: BICUBIC, ...HALVES },
  DeiT: CROPPED,
  Beit: CROPPED,
  CLIP: CLIPS,
  Bit: CLIPS,
  ConvNext: { keepsProportions: true, size: 384, resample: BILINEAR, ...HALVES, stretchedFrom: 384 },
  MobileNetV1: MOBILE,
  MobileNetV2: MOBILE,
};

const FILTERS: Readonly<Record<number, string>> = { 0: 'nearest', 1: 'lanczos', 2: 'bilinear', 3: 'bicubic' };
/** Part of the image that ConvNext's processor keeps below 384 pixels. */
const USUAL_CROP_PART = 0.875;

/** @returns the section `tensorgate.image`, and the size of the result @throws Error that names the field */
export function imageSectionOf(json: Json): { readonly section: object; readonly size: readonly number[] } {
  const processor = processorOf(json);
  const sizes = sizesOf(json, processor);
  const doesNormalize = json['do_normalize'] !== false;
  const filter = FILTERS[numberOf(json, 'resample') ?? processor.resample];
  if (filter === undefined) throw unexpected('resample', json, `one of ${Object.keys(FILTERS).join(', ')}`);
  const section = {
    ...sizes,
    filter,
    ...(json['do_rescale'] === false ? { scale: 1 } : { scale: numberOf(json, 'rescale_factor') ?? 1 / 255 }),
    ...(doesNormalize && { mean: numbersOf(json, 'image_mean') ?? processor.mean }),
    ...(doesNormalize && { std: numbersOf(json, 'image_std') ?? processor.std }),
  };
  const fixed = sizes.crop ?? (sizes.resize !== undefined && 'width' in sizes.resize ? sizes.resize : undefined);
  return { section, size: [fixed?.height ?? -1, fixed?.width ?? -1] };
}

function processorOf(json: Json): Processor {
  const type = json['image_processor_type'] ?? json['feature_extractor_type'];
  const name = /^(?<name>\w+?)(ImageProcessor(Fast|Pil)?|FeatureExtractor)$/.exec(String(type))?.groups?.['name'] ?? '';
  if (Object.hasOwn(PROCESSORS, name)) return PROCESSORS[name] as Processor;
  throw unexpected(
    'image_processor_type',
    { image_processor_type: type },
    `one of ${Object.keys(PROCESSORS).join(', ')}`,
  );
}

type Square = { readonly height: number; readonly width: number };

interface Sizes {
  readonly resize?: Square | { readonly shortest_edge: number };
  readonly crop?: Square;
}

function sizesOf(json: Json, processor: Processor): Sizes {
  const size =
    json['do_resize'] === false ? undefined : sizeOf(json, 'size', processor.size, processor.keepsProportions);
  const { stretchedFrom } = processor;
  if (stretchedFrom !== undefined && size !== undefined) {
    if (!('shortest_edge' in size)) throw unexpected('size', json, 'a size with shortest_edge');
    const edge = size.shortest_edge;
    if (edge >= stretchedFrom) return { resize: squareOf(edge) };
    const part = numberOf(json, 'crop_pct') ?? USUAL_CROP_PART;
    return { resize: { shortest_edge: Math.trunc(edge / part) }, crop: squareOf(edge) };
  }
  const doesCrop = json['do_center_crop'] ?? processor.crop !== undefined;
  if (doesCrop !== true) return { ...(size && { resize: size }) };
  const crop = sizeOf(json, 'crop_size', processor.crop ?? processor.size, false);
  if ('shortest_edge' in crop) throw unexpected('crop_size', json, 'height and width');
  return { ...(size && { resize: size }), crop };
}

function sizeOf(
  json: Json,
  field: string,
  usual: number,
  keepsProportions: boolean,
): Square | { readonly shortest_edge: number } {
  const value = json[field] ?? usual;
  if (isLength(value)) return keepsProportions ? { shortest_edge: value } : squareOf(value);
  if (Array.isArray(value) && value.length === 2 && value.every(isLength)) {
    return { height: value[0] as number, width: value[1] as number };
  }
  const { height, width, shortest_edge: edge, ...others } = (value ?? {}) as Json;
  if (Object.keys(others).length === 0) {
    if (isLength(height) && isLength(width) && edge === undefined) return { height, width };
    if (isLength(edge) && height === undefined && width === undefined) return { shortest_edge: edge };
  }
  throw unexpected(field, json, 'a number, height and width, or shortest_edge');
}

function squareOf(edge: number): Square {
  return { height: edge, width: edge };
}

function isLength(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) > 0;
}

function numberOf(json: Json, field: string): number | undefined {
  const value = json[field] ?? undefined;
  if (value === undefined || typeof value === 'number') return value;
  throw unexpected(field, json, 'a number');
}

function numbersOf(json: Json, field: string): readonly number[] | undefined {
  const value = json[field] ?? undefined;
  if (value === undefined) return undefined;
  if (Array.isArray(value) && value.length > 0 && value.every((each) => typeof each === 'number')) return value;
  throw unexpected(field, json, 'a list of numbers');
}

function unexpected(field: string, json: Json, expected: string): Error {
  const got = JSON.stringify(json[field]) ?? 'nothing';
  return new Error(`preprocessor_config.json: ${field} is ${got.slice(0, 80)}, expected ${expected}`);
}
