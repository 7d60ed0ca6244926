/** Data from disk: a folder of images or of recorded rows, numpy's `.npz`, or lines of JSON. */

import fs from 'node:fs';
import path from 'node:path';
import type { Dataset } from '../../compare/sample.ts';
import { CliError } from '../cli-error.ts';
import type { DataModel } from './data-model.ts';
import { imageData, isImageFile } from './image-data.ts';
import { jsonLineData } from './json-line-data.ts';
import { npzData } from './npz-data.ts';

const FORMS =
  'a folder of images, a folder of .npz files that a server recorded, a .npz file, or a .jsonl file with a request a line';

/**
 * @param labelled whether a folder of images has one folder for each class.
 * @throws CliError if nothing can be read; the text says what was expected
 */
export async function openDataset(source: string, model: DataModel, labelled: boolean): Promise<Dataset> {
  const stat = fs.statSync(source, { throwIfNoEntry: false });
  if (stat === undefined) throw new CliError(`'${source}' does not exist: expected ${FORMS}`);
  if (!stat.isDirectory()) {
    if (/\.npz$/i.test(source)) return npzData(source, [source], model);
    if (/\.(jsonl|ndjson)$/i.test(source)) return jsonLineData(source, model);
    if (/\.json$/i.test(source)) throw new CliError(`'${source}': name it .jsonl, with a request a line`);
    throw new CliError(`'${source}' is no data: expected ${FORMS}`);
  }
  const files = filesIn(source);
  const images = files.filter(isImageFile);
  const arrays = files.filter((file) => /\.npz$/i.test(file));
  if (images.length > 0 && arrays.length > 0) {
    throw new CliError(`'${source}' holds both images and .npz files: put them into folders of their own`);
  }
  if (images.length > 0) return imageData(source, images, model, labelled);
  if (arrays.length > 0) return npzData(source, arrays, model);
  throw new CliError(`'${source}' holds no data: expected ${FORMS}`);
}

/** Deep enough for `<split>/<class>/…`, and an end to links that lead back. */
const MAX_DEPTH = 4;

/** All files below a folder, by name; what begins with a dot is not looked at. */
function filesIn(directory: string, depth = 0): string[] {
  const names = fs.readdirSync(directory).filter((name) => !name.startsWith('.'));
  return names.sort().flatMap((name) => {
    const file = path.join(directory, name);
    const isDirectory = fs.statSync(file, { throwIfNoEntry: false })?.isDirectory() ?? false;
    if (!isDirectory) return [file];
    return depth < MAX_DEPTH ? filesIn(file, depth + 1) : [];
  });
}
