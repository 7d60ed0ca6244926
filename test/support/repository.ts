/** A model repository in a temporary directory. */

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { writeModel } from './onnx-models.ts';

export interface ModelFiles {
  /** The bytes of `model.onnx` by version. */
  readonly versions: Readonly<Record<number, Uint8Array>>;
  /** Written as `config.json`. */
  readonly config?: object;
  /** Other files of the model, by name. */
  readonly files?: Readonly<Record<string, string>>;
}

export class Repository implements Disposable {
  readonly directory = fs.mkdtempSync(path.join(os.tmpdir(), 'tensorgate-models-'));

  /** @param models by name; bytes alone are version 1 without a configuration. */
  constructor(models: Readonly<Record<string, Uint8Array | ModelFiles>> = {}) {
    for (const [name, model] of Object.entries(models)) this.add(name, model);
  }

  add(name: string, model: Uint8Array | ModelFiles): void {
    const { versions, config, files = {} } = model instanceof Uint8Array ? { versions: { 1: model } } : model;
    for (const [version, bytes] of Object.entries(versions)) writeModel(this.directory, name, Number(version), bytes);
    if (config !== undefined) this.#write(name, 'config.json', JSON.stringify(config));
    for (const [file, content] of Object.entries(files)) this.#write(name, file, content);
  }

  /** Serves what lies in `directory` as version 1, without copying it. */
  link(name: string, directory: string, config: object): void {
    fs.mkdirSync(path.join(this.directory, name));
    fs.symlinkSync(directory, path.join(this.directory, name, '1'));
    this.#write(name, 'config.json', JSON.stringify(config));
  }

  #write(name: string, file: string, content: string): void {
    fs.writeFileSync(path.join(this.directory, name, file), content);
  }

  [Symbol.dispose](): void {
    fs.rmSync(this.directory, { recursive: true });
  }
}
