/** The section `tensorgate.image`: how the step `tensorgate_image` makes pixels of image files. */

import { z } from 'zod';
import {
  IMAGE_COLORS,
  IMAGE_DATATYPES,
  IMAGE_LAYOUTS,
  type ImageOptions,
  RESAMPLE_FILTERS,
} from '../../../worker/step-spec.ts';
import { positive } from './config-values.ts';

/** A photo of 50 megapixels at a usual quality has as much. */
const DEFAULT_MAX_IMAGE_BYTES = 20 * 2 ** 20;
/** Decoded, such an image takes 150 MB. */
const DEFAULT_MAX_PIXELS = 50_000_000;
/** Larger inputs of models are not images. */
const MAX_EDGE = 8_192;
const BYTE_SCALE = 1 / 255;

const edge = positive.max(MAX_EDGE);
const size = z.strictObject({ height: edge, width: edge });
const perChannel = z.array(z.number()).min(1).max(3);

export const imageSection = z.strictObject({
  resize: z
    .union([size, z.strictObject({ shortest_edge: edge })])
    .optional()
    .describe(
      'Size before the crop: `height` and `width`, to which images are stretched, or `shortest_edge`, which keeps proportions. Default: images keep their sizes.',
    ),
  filter: z
    .enum(RESAMPLE_FILTERS)
    .default('bilinear')
    .describe('How pixels are interpolated, as Pillow does it: `nearest`, `bilinear`, `bicubic`, `lanczos`.'),
  crop: size
    .optional()
    .describe('Keep the middle of such a size, with black around smaller images. Default: all is kept.'),
  color: z
    .enum(IMAGE_COLORS)
    .default('RGB')
    .describe('Channels: `RGB`, `BGR`, or `GRAY` for one channel. Transparency is dropped.'),
  scale: z
    .number()
    .default(BYTE_SCALE)
    .describe('Factor of each value, which is 0 to 255. Default: 1/255, so that values are 0 to 1.'),
  mean: perChannel
    .default([0])
    .describe('Subtracted from the scaled values, by channel in the order of `color`; one number is for all channels.'),
  std: z
    .array(z.number().positive())
    .min(1)
    .max(3)
    .default([1])
    .describe('Divides the values after `mean` is subtracted, by channel; one number is for all channels.'),
  layout: z
    .enum(IMAGE_LAYOUTS)
    .default('NCHW')
    .describe('Order of the axes: `NCHW` (channels before rows) or `NHWC` (channels last).'),
  datatype: z
    .enum(IMAGE_DATATYPES)
    .default('FP32')
    .describe(
      'Datatype of the pixels: `FP32`, `FP16`, or `UINT8`, which is 0 to 255 without `scale`, `mean` and `std`.',
    ),
  max_image_bytes: positive
    .default(DEFAULT_MAX_IMAGE_BYTES)
    .describe('Maximum bytes of an image as it is sent. Longer images are refused before they are decoded.'),
  max_pixels: positive
    .default(DEFAULT_MAX_PIXELS)
    .describe('Maximum width times height of an image. Larger images are refused by their header, without decoding.'),
});

/** The options of the step, from the section with its defaults. */
export function imageOf(section: z.output<typeof imageSection>): ImageOptions {
  const { resize, max_image_bytes: maxImageBytes, max_pixels: maxPixels, ...rest } = section;
  const isShortest = resize !== undefined && 'shortest_edge' in resize;
  return {
    kind: 'image',
    ...rest,
    resize: isShortest ? { shortestEdge: resize.shortest_edge } : resize,
    maxImageBytes,
    maxPixels,
  };
}
