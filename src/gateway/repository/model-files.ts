/** The files that a configuration names, beside the versions. They are read first, so that later steps need no disk. */

import path from 'node:path';
import { messageOf } from '../../error-message.ts';
import { INNER_PATH, isInnerPath } from './config/inner-path.ts';
import type { ModelConfig } from './config/model-config.ts';
import { readBytes, statFile } from './disk.ts';

/** By path from the model's folder: the contents, or why there are none. */
export type ModelFiles = ReadonlyMap<string, Buffer | FileProblem>;

export class FileProblem extends Error {}

export const NO_FILES: ModelFiles = new Map();

export const INITIAL_STATE_DIRECTORY = 'initial_state';
export const WARM_UP_DIRECTORY = 'warmup';

/** The longest file that is read. */
const MAX_BYTES = 256 * 1024 * 1024;

/** Never rejects because of a file: a file that cannot be read is a problem only for what needs it. */
export async function readModelFiles(
  directory: string,
  config: Pick<ModelConfig, 'output' | 'sequence_batching' | 'model_warmup'>,
): Promise<ModelFiles> {
  const files = new Map<string, Buffer | FileProblem>();
  for (const name of namedFiles(config)) files.set(name, await read(directory, name));
  return files;
}

function namedFiles({
  output,
  sequence_batching,
  model_warmup,
}: Parameters<typeof readModelFiles>[1]): ReadonlySet<string> {
  const labels = output.flatMap(({ label_filename }) => label_filename ?? []);
  const states = (sequence_batching?.state ?? []).flatMap(({ initial_state }) =>
    initial_state.flatMap(({ data_file }) =>
      data_file === undefined ? [] : [`${INITIAL_STATE_DIRECTORY}/${data_file}`],
    ),
  );
  const warmUps = model_warmup.flatMap(({ inputs }) =>
    [...inputs.values()].flatMap(({ input_data_file: file }) =>
      file === undefined ? [] : [`${WARM_UP_DIRECTORY}/${file}`],
    ),
  );
  return new Set([...labels, ...states, ...warmUps]);
}

async function read(directory: string, name: string): Promise<Buffer | FileProblem> {
  if (!isInnerPath(name)) return new FileProblem(`'${name}': ${INNER_PATH}`);
  const file = path.join(directory, name);
  try {
    const stat = await statFile(file);
    if (stat === undefined) return new FileProblem(`${file} does not exist`);
    if (!stat.isFile()) return new FileProblem(`${file} is no file`);
    if (stat.size > MAX_BYTES) return new FileProblem(`${file} has ${stat.size} bytes, expected at most ${MAX_BYTES}`);
    return await readBytes(file);
  } catch (error) {
    return new FileProblem(`${file} cannot be read: ${messageOf(error)}`);
  }
}
