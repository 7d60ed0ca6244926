/** A model repository in a temporary directory. */

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { writeModel } from './onnx-models.ts';

export interface ModelFiles {
  /** The bytes of `model.onnx` by version; `undefined`: an empty folder, as an ensemble has. */
  readonly versions: Readonly<Record<number, Uint8Array | undefined>>;
  /** Written as `config.json`. */
  readonly config?: object;
  /** Other files of the model, by name, or by path from its folder. */
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
}

export class Repository implements Disposable {
  readonly directory = fs.mkdtempSync(path.join(os.tmpdir(), 'tensorgate-models-'));

  /** @param models by name; plain bytes are version 1 without a configuration. */
  constructor(models: Readonly<Record<string, Uint8Array | ModelFiles>> = {}) {
    for (const [name, model] of Object.entries(models)) this.add(name, model);
  }

  add(name: string, model: Uint8Array | ModelFiles): void {
    const { versions, config, files = {} } = model instanceof Uint8Array ? { versions: { 1: model } } : model;
    for (const [version, bytes] of Object.entries(versions)) {
      if (bytes !== undefined) writeModel(this.directory, name, Number(version), bytes);
      else fs.mkdirSync(path.join(this.directory, name, version), { recursive: true });
    }
    if (config !== undefined) this.#write(name, 'config.json', JSON.stringify(config));
    for (const [file, content] of Object.entries(files)) this.#write(name, file, content);
  }

  /** Adds a version, or another in its place, that appears at once: as is to be done while a server reads the repository. */
  publish(name: string, version: number, bytes: Uint8Array): void {
    const staged = path.dirname(writeModel(path.join(this.directory, '.staged'), name, version, bytes));
    this.withdraw(name, version);
    fs.mkdirSync(path.join(this.directory, name), { recursive: true });
    fs.renameSync(staged, path.join(this.directory, name, String(version)));
  }

  /** Removes a version, or the model. */
  withdraw(name: string, version?: number): void {
    fs.rmSync(path.join(this.directory, name, version === undefined ? '' : String(version)), {
      recursive: true,
      force: true,
    });
  }

  /** Serves what lies in `directory` as version 1, without copying it. */
  link(name: string, directory: string, config: object): void {
    fs.mkdirSync(path.join(this.directory, name));
    fs.symlinkSync(directory, path.join(this.directory, name, '1'));
    this.#write(name, 'config.json', JSON.stringify(config));
  }

  #write(name: string, file: string, content: string | Uint8Array): void {
    const target = path.join(this.directory, name, file);
    fs.mkdirSync(path.dirname(target), { recursive: true });
    fs.writeFileSync(target, content);
  }

  [Symbol.dispose](): void {
    fs.rmSync(this.directory, { recursive: true });
  }
}
