/** Resources that the machine, or the container on it, lets the process use. */

import fs from 'node:fs';
import { readdir } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Capacity } from './capacity.ts';
import type { Settings } from './settings.ts';

export type CapacitySettings = Pick<
  Settings,
  'mailboxDirectory' | 'modelControlMode' | 'loadModel' | 'maxLoadedModels'
> & {
  readonly modelRepository: string | undefined;
};

export async function readCapacity(settings: CapacitySettings): Promise<Capacity> {
  return {
    memoryBytes: Math.min(
      memoryLimit(process.constrainedMemory(), os.totalmem()),
      readMemoryLimit('/') ?? Number.POSITIVE_INFINITY,
    ),
    openFiles: readOpenFileLimit('/proc/self/limits') ?? Number.POSITIVE_INFINITY,
    mailboxBytes: sizeOf(settings.mailboxDirectory),
    versions: await countVersions(settings),
    instances: defaultInstances(usableCores()),
  };
}

/** @param constrained as Node reports it: 0, or more than there is, where no control group limits memory. */
export function memoryLimit(constrained: number, total: number): number {
  return constrained > 0 && constrained < total ? constrained : total;
}

/**
 * The tightest limit on memory of the control groups that this process is in, `undefined` where there is none.
 * @param root of the file system.
 */
export function readMemoryLimit(root: string): number | undefined {
  const least = Math.min(
    ...controlGroups(root, 'memory').map(({ version, directory }) => {
      const file = version === 2 ? 'memory.max' : 'memory.limit_in_bytes';
      const bytes = Number(readText(path.join(directory, file))?.trim() || Number.NaN);
      // Version 1 has a number near 2^63 for none, version 2 the word `max`.
      return bytes > 0 && bytes < 2 ** 62 ? bytes : Number.POSITIVE_INFINITY;
    }),
  );
  return Number.isFinite(least) ? least : undefined;
}

/** Cores that this process and its runners may use, on average. */
export function usableCores(): number {
  return Math.min(os.availableParallelism(), readCpuLimit('/') ?? Number.POSITIVE_INFINITY);
}

/** More instances than this repeat the weights for little: past it, a configuration should say what it wants. */
const MAX_DEFAULT_INSTANCES = 4;

/** Instances of a model whose configuration names none: one for each core, less one for the gateway. */
export function defaultInstances(cores: number): number {
  return Math.max(1, Math.min(MAX_DEFAULT_INSTANCES, Math.floor(cores) - 1));
}

/**
 * The tightest limit on cores of the control groups that this process is in, `undefined` where there is none.
 * @param root of the file system.
 */
export function readCpuLimit(root: string): number | undefined {
  const least = Math.min(
    ...controlGroups(root, 'cpu').map(({ version, directory }) => {
      if (version === 2) return quota(readText(path.join(directory, 'cpu.max')));
      const [most, period] = ['cpu.cfs_quota_us', 'cpu.cfs_period_us'].map((name) =>
        readText(path.join(directory, name)),
      );
      return quota(`${most?.trim()} ${period?.trim()}`);
    }),
  );
  return Number.isFinite(least) ? least : undefined;
}

/** `200000 100000` are two cores; `max 100000` and `-1 100000` are no limit. */
function quota(text: string | undefined): number {
  const [most = Number.NaN, period = Number.NaN] = (text ?? '').trim().split(/\s+/).map(Number);
  return most > 0 && period > 0 ? most / period : Number.POSITIVE_INFINITY;
}

interface ControlGroup {
  readonly version: 1 | 2;
  readonly directory: string;
}

/**
 * The control groups of this process that have a say on `controller`. Version 2 has a file for each group up to the root; version 1
 * is asked for this group and the root, which is what a container sees its own as.
 */
export function controlGroups(root: string, controller: string): ControlGroup[] {
  const text = readText(path.join(root, 'proc/self/cgroup')) ?? '';
  const groups: ControlGroup[] = [];
  for (const [, controllers = '', group = ''] of text.matchAll(/^\d+:([^:]*):(.*)$/gm)) {
    if (controllers === '') {
      for (let place = group; ; place = path.posix.dirname(place)) {
        groups.push({ version: 2, directory: path.join(root, 'sys/fs/cgroup', place) });
        if (place === '/' || place === '.' || place === '') break;
      }
    } else if (controllers.split(',').includes(controller)) {
      for (const place of [group, '/']) {
        groups.push({ version: 1, directory: path.join(root, 'sys/fs/cgroup', controllers, place) });
      }
    }
  }
  return groups;
}

/** The soft limit, which Node raises to the hard one when it starts. */
export function readOpenFileLimit(file: string): number | undefined {
  const soft = /^Max open files\s+(\S+)/m.exec(readText(file) ?? '')?.[1];
  if (soft === undefined) return undefined;
  return soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft);
}

function sizeOf(directory: string): number | undefined {
  try {
    const { blocks, bsize } = fs.statfsSync(directory);
    return blocks * bsize;
  } catch {
    return undefined; // its own check says why
  }
}

/** Models that clients are expected to load at a time where `maxLoadedModels` is no bound. */
const MODELS_OF_CLIENTS = 64;

/** Versions of models that may be loaded at a time, as far as folders show. */
async function countVersions({
  modelRepository,
  modelControlMode,
  loadModel,
  maxLoadedModels,
}: CapacitySettings): Promise<number> {
  if (modelRepository === undefined) return 0;
  const versions = await readdir(modelRepository, { withFileTypes: true })
    .then((entries) =>
      Promise.all(
        entries
          .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
          .map(({ name }) => countNumbered(path.join(modelRepository, name))),
      ),
    )
    .catch(() => []); // its own check says why
  const all = versions.reduce((sum, count) => sum + count, 0);
  if (modelControlMode !== 'explicit' || loadModel.includes('*')) return all;
  return Math.min(all, Math.max(maxLoadedModels > 0 ? maxLoadedModels : MODELS_OF_CLIENTS, loadModel.length));
}

async function countNumbered(directory: string): Promise<number> {
  const names = await readdir(directory).catch(() => []);
  return names.filter((name) => /^[1-9][0-9]*$/.test(name)).length;
}

export function readText(file: string): string | undefined {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return undefined; // another system, or another version of control groups
  }
}
