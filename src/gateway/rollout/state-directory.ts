/**
 * The files in which a server keeps the state of its rollouts: `rollouts/<model>.json` in its state directory.
 *
 * STATE-1: a file exists completely or not at all: it is written beside, flushed, renamed, and the directory flushed.
 * STATE-2: only one server writes them: if a file is not as this server left it, it stops writing to it.
 */

import fs from 'node:fs/promises';
import path from 'node:path';
import { messageOf } from '../../error-message.ts';
import { diagnostics } from '../ops/diagnostics.ts';
import type { Settings } from '../ops/settings.ts';
import { Disk } from '../repository/disk.ts';
import { isModelName } from '../repository/model-repository.ts';
import { formatRecord, parseRecord, type RolloutRecord } from './rollout-record.ts';

const EXTENSION = '.json';

export class StateDirectory {
  readonly #directory: string;
  /** Writes go one after the other; where the disk hangs they fail, and hold one thread in all. */
  readonly #disk = new Disk(1);
  /** By model: what its file holds, as this server knows it. */
  readonly #known = new Map<string, string>();

  /** Hidden directories in a repository are not models. */
  static of({ stateDirectory, modelRepository }: Pick<Settings, 'stateDirectory' | 'modelRepository'>): StateDirectory {
    return new StateDirectory(stateDirectory === '' ? path.join(modelRepository, '.tensorgate') : stateDirectory);
  }

  /** @param directory is made with the first record. */
  constructor(directory: string) {
    this.#directory = path.join(directory, 'rollouts');
  }

  /** All records. An unreadable one is reported and kept. */
  async read(): Promise<RolloutRecord[]> {
    const names = await fs.readdir(this.#directory).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') logFailure(`the rollouts in ${this.#directory} cannot be read`, error);
      return [];
    });
    const models = names.flatMap((name) => (name.endsWith(EXTENSION) ? [name.slice(0, -EXTENSION.length)] : []));
    const records: RolloutRecord[] = [];
    for (const model of models.filter(isModelName).sort()) {
      const file = this.#fileOf(model);
      try {
        const text = await fs.readFile(file, 'utf8');
        const record = parseRecord(text);
        if (record.plan.model !== model) throw new Error(`it is about the model '${record.plan.model}'`);
        this.#known.set(model, text);
        records.push(record);
      } catch (error) {
        logFailure(
          `${file} is no state of a rollout that can be taken up: the model is served as its configuration says`,
          error,
        );
      }
    }
    return records;
  }

  /** @throws Error where it cannot be written; its text says where and why, and what to do. */
  async write(record: RolloutRecord): Promise<void> {
    const { model } = record.plan;
    const file = this.#fileOf(model);
    const text = formatRecord(record);
    const writeAll = async (): Promise<void> => {
      // Not recursively: under /proc, say, Node would try for ever; and where the parent is missing, the name is a mistake.
      await makeDirectory(path.dirname(this.#directory));
      await makeDirectory(this.#directory);
      await this.#checkOwn(model);
      const draft = path.join(this.#directory, `.${model}.${process.pid}`);
      await writeDurably(draft, text);
      await fs.rename(draft, file);
      await flushDirectory(this.#directory);
      // Here: a write that was late counts, too.
      this.#known.set(model, text);
    };
    await this.#disk.run('writing', writeAll).catch((cause: unknown) => {
      throw unwritable(file, cause);
    });
  }

  /** @throws Error as `write` does. */
  async remove(model: string): Promise<void> {
    const file = this.#fileOf(model);
    const removeAll = async (): Promise<void> => {
      await this.#checkOwn(model);
      await fs.rm(file, { force: true });
      this.#known.delete(model);
      await flushDirectory(this.#directory);
    };
    await this.#disk.run('removing', removeAll).catch((cause: unknown) => {
      throw unwritable(file, cause);
    });
  }

  /** STATE-2 */
  async #checkOwn(model: string): Promise<void> {
    const text = await fs.readFile(this.#fileOf(model), 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (text === undefined || text === this.#known.get(model)) return;
    throw new Error(
      'it is not as this server left it: each server needs a state directory of its own, or the file has to go',
    );
  }

  #fileOf(model: string): string {
    return path.join(this.#directory, `${model}${EXTENSION}`);
  }
}

async function makeDirectory(directory: string): Promise<void> {
  await fs.mkdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
}

async function writeDurably(file: string, text: string): Promise<void> {
  const handle = await fs.open(file, 'w', 0o644);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function flushDirectory(directory: string): Promise<void> {
  const handle = await fs.open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function unwritable(file: string, cause: unknown): Error {
  const text = messageOf(cause);
  return new Error(
    `${file} cannot be written: ${text}; --state-directory DIR names a directory that can, and that outlives the server`,
    { cause },
  );
}

function logFailure(text: string, cause: unknown): void {
  diagnostics.notice.publish({ level: 'error', text, cause });
}
