/** How large the weights of a model are on disk, without reading them. */

import path from 'node:path';
import { isInnerPath } from './config/inner-path.ts';
import { statFile } from './disk.ts';
import { readExternalLocations } from './external-data.ts';

export interface ModelWeights {
  /** Bytes of the ONNX file. */
  readonly inline: number;
  /** Bytes of the files beside it that it names. They are mapped, so sessions of one process share them until they repack them. */
  readonly external: number;
}

/** Files that cannot be seen count 0: the load reports them. */
export async function readModelWeights(modelPath: string): Promise<ModelWeights> {
  const directory = path.dirname(modelPath);
  const locations = [...(await readExternalLocations(modelPath))].filter(isInnerPath);
  const sizes = await Promise.all(locations.map((location) => sizeOf(path.join(directory, location))));
  return { inline: await sizeOf(modelPath), external: sizes.reduce((sum, size) => sum + size, 0) };
}

async function sizeOf(file: string): Promise<number> {
  const stat = await statFile(file);
  return stat?.isFile() === true ? Number(stat.size) : 0;
}
