/** A folder with `preprocessor_config.json`, as Hugging Face or Optimum exports it: from images to classes or vectors. */

import path from 'node:path';
import { messageOf } from '../../error-message.ts';
import { architectureOf, classesOf, type Ending, type ExportChain, headOf } from './export-chain.ts';
import { type Json, readJson, sizeOf } from './exported-files.ts';
import { nameOfPart } from './part-name.ts';
import { imageSectionOf } from './preprocessor-config.ts';
import { readGraphInputs, readGraphOutputs } from './signature/graph-inputs.ts';

/** Most images of a request of the ensemble; the model splits it. */
const MAX_ROWS = 64;
const PIXELS = 'pixel_values';
/** Outputs with one vector of an image. */
const VECTORS = ['image_embeds', 'pooler_output'] as const;

/** @param file the ONNX file, from the folder @throws Error where a file cannot be read */
export async function describeImageFolder(directory: string, name: string, file: string): Promise<ExportChain> {
  const config = ((await readJson(directory, 'config.json')) ?? {}) as Json;
  const [input, ...others] = await readGraphInputs(path.join(directory, file));
  const outputs = [...(await readGraphOutputs(path.join(directory, file)))];
  const configs = new Map<string, object>([['model', { default_model_filename: file }]]);
  const without = (reason: string): ExportChain => {
    const served = [...configs.keys()].map((part) => nameOfPart(name, part)).join(' and ');
    const verb = configs.size > 1 ? 'are' : 'is';
    return { configs, problem: `'${name}' has no chain from images: ${reason}; ${served} ${verb} served` };
  };
  let image: ReturnType<typeof imageSectionOf>;
  try {
    image = imageSectionOf((await readJson(directory, 'preprocessor_config.json')) as Json);
  } catch (error) {
    return without(messageOf(error));
  }
  const output = { name: PIXELS, data_type: 'TYPE_FP32', dims: [-1, 3, ...image.size] };
  configs.set('image', { platform: 'tensorgate_image', output: [output], tensorgate: { image: image.section } });
  if (input === undefined || others.length > 0) {
    return without(
      `its model takes ${input === undefined ? 'no known input' : [input, ...others].join(', ')}, expected only pixels`,
    );
  }
  const ending = endingOf(config, outputs);
  if (typeof ending === 'string') return without(ending);
  if (ending.part !== undefined) configs.set(ending.part.name, ending.part.config);
  configs.set('', ensembleOf(name, input, ending));
  return { configs, problem: undefined };
}

/** @returns why it is not known what to do with the outputs of the model, if so */
function endingOf(config: Json, outputs: readonly string[]): Ending | string {
  const [first] = outputs;
  if (first === undefined) return 'the outputs of its model cannot be read';
  if (headOf(config) === 'ImageClassification') return classesOf(config, outputs.includes('logits') ? 'logits' : first);
  const vector = VECTORS.find((each) => outputs.includes(each));
  if (vector === undefined) {
    const architecture = String(architectureOf(config) ?? 'nothing of an architecture');
    return `config.json says ${architecture}, and the model gives ${outputs.join(', ')}: expected a classifier of images, or ${VECTORS.join(' or ')}`;
  }
  const width = sizeOf(config[vector === 'image_embeds' ? 'projection_dim' : 'hidden_size']) ?? -1;
  return { output: vector, given: [{ name: vector, data_type: 'TYPE_FP32', dims: [width] }], isPair: false };
}

function ensembleOf(name: string, input: string, { part, output, given }: Ending): object {
  const same = (names: readonly string[]): object => Object.fromEntries(names.map((each) => [each, each]));
  return {
    platform: 'ensemble',
    max_batch_size: MAX_ROWS,
    input: [{ name: 'image', data_type: 'TYPE_STRING', dims: [] }],
    output: given,
    ensemble_scheduling: {
      step: [
        { model_name: nameOfPart(name, 'image'), input_map: same(['image']), output_map: same([PIXELS]) },
        { model_name: nameOfPart(name, 'model'), input_map: { [input]: PIXELS }, output_map: same([output]) },
        ...(part === undefined
          ? []
          : [
              {
                model_name: nameOfPart(name, part.name),
                input_map: part.inputs,
                output_map: same(given.map((each) => each.name)),
              },
            ]),
      ],
    },
  };
}
