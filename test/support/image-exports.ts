/** Folders of image models as Hugging Face and Optimum export them, and image files. */

import sharp from 'sharp';
import { model } from './onnx-models.ts';
import type { Files } from './text-exports.ts';

/** The mean of each channel, [batch, 3]. */
export function channelMeansModel(output = 'logits'): Uint8Array {
  const node = (opType: string, input: string, to: string) => ({ opType, input: [input], output: [to], attribute: [] });
  return model({
    inputs: [{ name: 'pixel_values', datatype: 'FP32', axes: ['batch', 3, 'height', 'width'] }],
    outputs: [{ name: output, datatype: 'FP32', axes: ['batch', 3] }],
    nodes: [node('GlobalAveragePool', 'pixel_values', 'means'), node('Flatten', 'means', output)],
    initializers: [],
  });
}

/** A classifier of the strongest colour, as Optimum exports a ViT. */
export function imageClassifier(preprocessor: object = {}, config: object = {}): Files {
  return {
    'preprocessor_config.json': {
      image_processor_type: 'ViTImageProcessor',
      size: { height: 8, width: 8 },
      resample: 2,
      do_normalize: true,
      image_mean: [0.5, 0.5, 0.5],
      image_std: [0.5, 0.5, 0.5],
      ...preprocessor,
    },
    'config.json': {
      architectures: ['ViTForImageClassification'],
      id2label: { 0: 'red', 1: 'green', 2: 'blue' },
      ...config,
    },
    'model.onnx': channelMeansModel(),
  };
}

type Format = 'jpeg' | 'png' | 'webp';

/** An image of one colour. */
export function plainImage(background: string, format: Format = 'png', width = 20, height = 10): Promise<Buffer> {
  return sharp({ create: { width, height, channels: 3, background } })
    .toFormat(format)
    .toBuffer();
}

/** An image of three bytes a pixel, row by row. */
export function imageOf(width: number, pixels: readonly number[], format: Format = 'png'): Promise<Buffer> {
  const raw = { width, height: pixels.length / 3 / width, channels: 3 } as const;
  return sharp(Uint8Array.from(pixels), { raw }).toFormat(format).toBuffer();
}
