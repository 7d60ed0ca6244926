/**
 * A folder as an exporter leaves it: an ONNX file, and files that say what belongs before and behind it. It is served as an ensemble of the
 * folder's name, with parts such as `minilm:tokenizer`, from configurations that are made here.
 *
 * FOLDER-1: no folder of a repository has the name of a part, because names of folders have no colon.
 */

import path from 'node:path';
import { messageOf } from '../../error-message.ts';
import { isTritons, namesIn, onnxFiles } from './exported-files.ts';
import { describeImageFolder } from './image-folder.ts';
import { describeTextFolder } from './text-folder.ts';

/** The version of all parts. */
export const EXPORT_VERSION = '1';

export interface ExportedFolder {
  /** Configurations in JSON by part; the ensemble has the key `''`. */
  readonly configs: ReadonlyMap<string, string>;
  /** Why there is no ensemble, if so. */
  readonly problem: string | undefined;
}

/** By the file that shows what the model takes, the first first. */
const KINDS = [
  ['tokenizer.json', describeTextFolder],
  ['preprocessor_config.json', describeImageFolder],
] as const;

/** `undefined` where the folder is something else: it has versions, a configuration of Triton, none of these files, or no ONNX file. */
export async function readExportedFolder(directory: string, name: string): Promise<ExportedFolder | undefined> {
  const names = await namesIn(directory);
  const describe = KINDS.find(([file]) => names.includes(file))?.[1];
  if (describe === undefined || isTritons(names)) return undefined;
  const files = await onnxFiles(directory, names);
  if (files.length === 0) return undefined;
  const file =
    files.find((each) => path.basename(each) === 'model.onnx') ?? (files.length === 1 ? files[0] : undefined);
  if (file === undefined) {
    const problem = `${directory} holds ${files.length} ONNX files and no model.onnx: rename one of ${files.join(', ')}`;
    return { configs: new Map(), problem };
  }
  try {
    const { configs, problem } = await describe(directory, name, file);
    return { configs: new Map([...configs].map(([part, each]) => [part, JSON.stringify(each)])), problem };
  } catch (error) {
    return { configs: new Map(), problem: `${directory}: ${messageOf(error)}` };
  }
}
