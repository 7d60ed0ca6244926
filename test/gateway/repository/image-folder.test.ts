import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { readExportedFolder } from '../../../src/gateway/repository/exported-folder.ts';
import { listNames } from '../../../src/gateway/repository/model-repository.ts';
import { openRepository } from '../../../src/gateway/repository/opened-repository.ts';
import { channelMeansModel, imageClassifier } from '../../support/image-exports.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';
import { type Files, writeFiles } from '../../support/text-exports.ts';

function folderOf(files: Files): string {
  const folder = path.join(temporaryDirectory(), 'm');
  writeFiles(folder, files);
  return folder;
}

async function read(files: Files) {
  const folder = await readExportedFolder(folderOf(files), 'm');
  const configs = [...(folder?.configs ?? [])].map(([part, text]) => [part, JSON.parse(text)]);
  return { parts: Object.fromEntries(configs), problem: folder?.problem };
}

/** The section of the step, for a file of this processor. */
async function sectionOf(preprocessor: object): Promise<unknown> {
  const files = { ...imageClassifier(), 'preprocessor_config.json': preprocessor };
  return (await read(files)).parts.image.tensorgate.image;
}

describe('a folder of an image classifier', () => {
  test('becomes a step for images, the model, and its classes', async () => {
    expect((await read(imageClassifier())).parts).toMatchObject({
      model: { default_model_filename: 'model.onnx' },
      image: {
        platform: 'tensorgate_image',
        output: [{ name: 'pixel_values', data_type: 'TYPE_FP32', dims: [-1, 3, 8, 8] }],
      },
      labels: { tensorgate: { classes: { function: 'softmax', labels: ['red', 'green', 'blue'] } } },
      '': {
        input: [{ name: 'image', data_type: 'TYPE_STRING' }],
        output: [{ name: 'label' }, { name: 'score', dims: [3] }],
        ensemble_scheduling: {
          step: [{ model_name: 'm:image' }, { model_name: 'm:model' }, { model_name: 'm:labels' }],
        },
      },
    });
  });

  test('has the names of its parts in a repository, and may be served by itself', async () => {
    const folder = folderOf(imageClassifier());
    const models = ['m', 'm:image', 'm:labels', 'm:model'];
    expect((await listNames(path.dirname(folder))).models).toEqual(models);
    const opened = await openRepository(folder);
    expect((await listNames(opened.directory)).models).toEqual(models);
    await opened.close();
    expect(fs.existsSync(folder)).toBe(true);
  });

  test.each([
    [
      'ViT with old names',
      { feature_extractor_type: 'ViTFeatureExtractor', size: 224 },
      { resize: { height: 224, width: 224 }, filter: 'bilinear', mean: [0.5, 0.5, 0.5] },
    ],
    [
      'CLIP',
      { image_processor_type: 'CLIPImageProcessorFast', size: 224, crop_size: 224, resample: 3 },
      { resize: { shortest_edge: 224 }, crop: { height: 224, width: 224 }, filter: 'bicubic' },
    ],
    [
      'ResNet, which is resized to more than it keeps',
      { feature_extractor_type: 'ConvNextFeatureExtractor', size: 224, crop_pct: 0.875, resample: 3 },
      { resize: { shortest_edge: 256 }, crop: { height: 224, width: 224 }, filter: 'bicubic' },
    ],
    [
      'ConvNext of a large size, which is stretched',
      { image_processor_type: 'ConvNextImageProcessor', size: { shortest_edge: 384 } },
      { resize: { height: 384, width: 384 } },
    ],
    [
      'pixels that are neither resized, scaled nor normalized',
      { image_processor_type: 'ViTImageProcessor', do_resize: false, do_rescale: false, do_normalize: false },
      { scale: 1, filter: 'bilinear' },
    ],
  ])('is prepared as the file of %s says', async (_, preprocessor, section) => {
    const found = await sectionOf(preprocessor);
    expect(found).toMatchObject(section);
    expect(Object.keys(found as object).includes('resize')).toBe('resize' in section);
  });

  test.each([
    ['another processor', { image_processor_type: 'SamImageProcessor' }, 'image_processor_type is "SamImageProcessor"'],
    ['another filter', { resample: 5 }, 'resample is 5, expected one of 0, 1, 2, 3'],
    ['an odd size', { size: { longest_edge: 9 } }, 'size is {"longest_edge":9}, expected a number, height and width'],
  ])('serves only its model with %s, and says why', async (_, preprocessor, reason) => {
    const { parts, problem } = await read(imageClassifier(preprocessor));
    expect(Object.keys(parts)).toEqual(['model']);
    expect(problem).toContain(`'m' has no chain from images: preprocessor_config.json: ${reason}`);
    expect(problem).toContain('m:model is served');
  });
});

describe('a folder of an encoder of images', () => {
  const encoder = (output: string): Files => ({
    ...imageClassifier({}, { architectures: ['CLIPVisionModelWithProjection'], projection_dim: 3 }),
    'model.onnx': channelMeansModel(output),
  });

  test('gives its vectors', async () => {
    const { parts } = await read(encoder('image_embeds'));
    expect(parts['']).toMatchObject({ output: [{ name: 'image_embeds', dims: [3] }] });
    expect(Object.keys(parts)).not.toContain('labels');
  });

  test('without a vector of an image serves its parts, and says why', async () => {
    const { parts, problem } = await read(encoder('last_hidden_state'));
    expect(Object.keys(parts)).toEqual(['model', 'image']);
    expect(problem).toContain('expected a classifier of images, or image_embeds or pooler_output');
  });
});
