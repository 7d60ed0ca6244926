/**
 * The model `read_page`: `page` UINT8 [height,width,3] -> its lines, from top to bottom: `text` BYTES [lines], `confidence` FP32
 * [lines], and `box` INT32 [lines,4] (left, top, width and height in pixels of the page).
 */

// Erased when the module runs: a model outside of this repository imports the types from `tensorgate/step`.
import type { Infer, InferContext, Tensor } from '../../../src/worker/steps/code-model.ts';
import { type Box, type Picture, resized } from './pixels.ts';
import { lineBoxes } from './regions.ts';

/** The detector takes multiples of this. */
const STEP = 32;
/** A longer side is shrunk to this: the detector's time grows with the area. */
const LONGEST_SIDE = 960;
/** The height of the lines that `read_line` takes. */
const LINE_HEIGHT = 48;
/** Means and deviations of colours with which the detector was trained. */
const MEANS = [0.485, 0.456, 0.406];
const DEVIATIONS = [0.229, 0.224, 0.225];

export const infer: Infer = async ([row], context) => {
  const page = pageOf(row?.['page'], context);
  const boxes = await findLines(page, context);
  const lines = await Promise.all(boxes.map((box) => readLine(page, box, context)));
  const read = lines.flatMap((line, at) => (line.text === '' ? [] : [{ ...line, box: boxes[at] }]));
  return [
    {
      text: read.map(({ text }) => text),
      confidence: read.map(({ confidence }) => confidence),
      box: {
        shape: [read.length, 4],
        data: read.flatMap(({ box }) => (box === undefined ? [] : [box.left, box.top, box.width, box.height])),
      },
    },
  ];
};

function pageOf(page: Tensor | undefined, { invalidInput }: InferContext): Picture {
  const [height = 0, width = 0] = page?.shape ?? [];
  if (width < STEP || height < STEP) {
    throw invalidInput(`the page has ${width} x ${height} pixels, expected at least ${STEP} x ${STEP}`);
  }
  return { width, height, data: page?.data as Uint8Array };
}

/** The boxes of the lines, in pixels of the page. */
async function findLines(page: Picture, context: InferContext): Promise<Box[]> {
  const scale = Math.min(1, LONGEST_SIDE / Math.max(page.width, page.height));
  const sizeFor = (size: number): number => Math.max(STEP, Math.round((size * scale) / STEP) * STEP);
  const size = { width: sizeFor(page.width), height: sizeFor(page.height) };
  const small = resized(page, { left: 0, top: 0, width: page.width, height: page.height }, size);
  const x: Tensor = { datatype: 'FP32', shape: [1, 3, size.height, size.width], data: normalized(small) };
  const [map] = Object.values(await context.infer('detect', { x }));
  const [across, down] = [page.width / size.width, page.height / size.height];
  return lineBoxes(map?.data as Float32Array, size.width, size.height).map(({ left, top, width, height }) => ({
    left: Math.round(left * across),
    top: Math.round(top * down),
    width: Math.max(1, Math.floor(width * across)),
    height: Math.max(1, Math.floor(height * down)),
  }));
}

function normalized({ width, height, data }: Picture): Float32Array {
  const plane = width * height;
  const values = new Float32Array(3 * plane);
  for (let channel = 0; channel < 3; channel++) {
    const [mean = 0, deviation = 1] = [MEANS[channel], DEVIATIONS[channel]];
    for (let at = 0; at < plane; at++) {
      values[channel * plane + at] = ((data[3 * at + channel] ?? 0) / 255 - mean) / deviation;
    }
  }
  return values;
}

/** All lines are called at once: they wait in the queues of the models behind `read_line`, and share batches there. */
async function readLine(page: Picture, box: Box, context: InferContext): Promise<{ text: string; confidence: number }> {
  const width = Math.max(1, Math.round((LINE_HEIGHT * box.width) / box.height));
  const { data } = resized(page, box, { width, height: LINE_HEIGHT });
  const image: Tensor = { datatype: 'UINT8', shape: [1, LINE_HEIGHT, width, 3], data };
  const { characters, confidence } = await context.infer('read_line', { image });
  const letters = (characters?.data ?? []) as readonly string[];
  const sure = [...((confidence?.data ?? []) as Iterable<number>)].filter((_, step) => letters[step] !== '');
  return {
    text: letters.join('').trim(),
    confidence: sure.reduce((sum, each) => sum + each, 0) / Math.max(1, sure.length),
  };
}
