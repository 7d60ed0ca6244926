/** What this machine, or the container on it, lends the process: cores, memory, open files. */

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { Settings } from '../ops/settings.ts';
import { type Finding, formatBytes } from './finding.ts';

export function checkMachine(settings: Pick<Settings, 'maxInFlightBytes'>): Finding[] {
  return [
    judgeCores(os.availableParallelism(), readCpuLimit('/')),
    judgeMemory(memoryLimit(process.constrainedMemory(), os.totalmem()), settings.maxInFlightBytes),
    judgeOpenFiles(readOpenFileLimit('/proc/self/limits')),
  ];
}

/** @param limit of the control group, in cores. */
export function judgeCores(cores: number, limit: number | undefined): Finding {
  const subject = 'cores';
  const text =
    limit === undefined ? `${cores}, without a limit` : `${cores}, of which the control group lends ${limit}`;
  if (limit === undefined || limit >= cores) return { level: 'ok', subject, text };
  // Models get instances after the number of cores, and more of them than cores only take turns.
  const advice = `set count in each model's instance_group: by default there is one instance for each of ${cores} cores, less one`;
  return { level: 'warn', subject, text, advice };
}

/** @param limit what the process may take, in bytes. */
export function judgeMemory(limit: number, maxInFlightBytes: number): Finding {
  const subject = 'memory';
  const text = formatBytes(limit);
  if (limit >= 2 * maxInFlightBytes) return { level: 'ok', subject, text };
  return {
    level: 'warn',
    subject,
    text: `${text}, of which requests may take ${formatBytes(maxInFlightBytes)} (maxInFlightBytes), and their mailboxes as much`,
    advice: 'lower maxInFlightBytes, or give more memory',
  };
}

/** One connection is one open file, and there are those of the models. */
const FEW_OPEN_FILES = 4_096;

/** @param limit `undefined` where the system does not tell. */
export function judgeOpenFiles(limit: number | undefined): Finding {
  const subject = 'open files';
  if (limit === undefined) return { level: 'ok', subject, text: 'this system does not tell its limit' };
  const text = limit === Number.POSITIVE_INFINITY ? 'without a limit' : `at most ${limit}`;
  if (limit >= FEW_OPEN_FILES) return { level: 'ok', subject, text };
  return { level: 'warn', subject, text: `${text}: each connection is one`, advice: 'raise it: ulimit -n 65536' };
}

/** @param constrained as Node tells it: 0, or more than there is, where no control group limits memory. */
export function memoryLimit(constrained: number, total: number): number {
  return constrained > 0 && constrained < total ? constrained : total;
}

/**
 * The tightest limit on cores of the control groups that this process is in, `undefined` where there is none.
 * Version 2 has a file for each group up to the root; version 1 is asked for this group and the root.
 * @param root of the file system.
 */
export function readCpuLimit(root: string): number | undefined {
  const groups = readText(path.join(root, 'proc/self/cgroup')) ?? '';
  const limits: number[] = [];
  for (const [, controllers = '', group = ''] of groups.matchAll(/^\d+:([^:]*):(.*)$/gm)) {
    if (controllers === '') {
      for (let place = group; ; place = path.posix.dirname(place)) {
        limits.push(quota(readText(path.join(root, 'sys/fs/cgroup', place, 'cpu.max'))));
        if (place === '/' || place === '.' || place === '') break;
      }
    } else if (controllers.split(',').includes('cpu')) {
      for (const place of [group, '/']) {
        const directory = path.join(root, 'sys/fs/cgroup', controllers, place);
        const [most, period] = ['cpu.cfs_quota_us', 'cpu.cfs_period_us'].map((name) =>
          readText(path.join(directory, name)),
        );
        limits.push(quota(`${most?.trim()} ${period?.trim()}`));
      }
    }
  }
  const least = Math.min(...limits);
  return Number.isFinite(least) ? least : undefined;
}

/** `200000 100000` are two cores; `max 100000` and `-1 100000` are no limit. */
function quota(text: string | undefined): number {
  const [most = Number.NaN, period = Number.NaN] = (text ?? '').trim().split(/\s+/).map(Number);
  return most > 0 && period > 0 ? most / period : Number.POSITIVE_INFINITY;
}

/** The soft limit, which Node raises to the hard one when it starts. */
export function readOpenFileLimit(file: string): number | undefined {
  const soft = /^Max open files\s+(\S+)/m.exec(readText(file) ?? '')?.[1];
  if (soft === undefined) return undefined;
  return soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft);
}

function readText(file: string): string | undefined {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return undefined; // another system, or another version of control groups
  }
}
