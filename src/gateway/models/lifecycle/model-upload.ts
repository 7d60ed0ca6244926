/** A model whose files came with the request that loads it, in a private directory for as long as it is served. */

import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { InferError } from '../../errors.ts';
import { type ModelFolder, readFolder } from '../../repository/model-repository.ts';
import { isVersionName } from '../../repository/version-number.ts';

const MAX_FILES = 1_000;
const FILE_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
/** `<version>/golden/golden.json` is the deepest that means anything. */
const MAX_SEGMENTS = 4;

export class ModelUpload {
  readonly folder: ModelFolder;

  private constructor(folder: ModelFolder) {
    this.folder = folder;
  }

  /**
   * Writes the files so that no other user can read them.
   * @param files contents by `<version>/<file name>`
   * @throws InferError `invalid_request` for a name that is no such name.
   */
  static async write(name: string, files: ReadonlyMap<string, Uint8Array>): Promise<ModelUpload> {
    if (files.size > MAX_FILES) {
      throw new InferError('invalid_request', `at most ${MAX_FILES} files may come with a model, got ${files.size}`);
    }
    for (const file of files.keys()) checkName(file);
    const directory = await fs.mkdtemp(path.join(os.tmpdir(), 'tensorgate-upload-'));
    try {
      for (const [file, content] of files) {
        const target = path.join(directory, file);
        await fs.mkdir(path.dirname(target), { recursive: true, mode: 0o700 });
        await fs.writeFile(target, content, { flag: 'wx', mode: 0o600 });
      }
      return new ModelUpload(await readFolder(directory, name));
    } catch (error) {
      await fs.rm(directory, { recursive: true, force: true });
      throw error;
    }
  }

  /** To be called when no runner needs the files any more. */
  async remove(): Promise<void> {
    await fs.rm(this.folder.directory, { recursive: true, force: true });
  }
}

function checkName(file: string): void {
  const [version = '', ...names] = file.split('/');
  const isSound =
    isVersionName(version) &&
    names.length > 0 &&
    names.length < MAX_SEGMENTS &&
    names.every((name) => FILE_NAME.test(name));
  if (isSound) return;
  const got = JSON.stringify(file.slice(0, 200));
  throw new InferError(
    'invalid_request',
    `parameter 'file:…': expected <version>/<file name>, such as 1/model.onnx, got ${got}`,
  );
}
