/** How many cores this machine, or the container on it, lends the process. Memory and open files: `ops/capacity.ts`. */

import os from 'node:os';
import path from 'node:path';
import { controlGroups, readText } from '../ops/machine-capacity.ts';
import type { Finding } from './finding.ts';

export function checkCores(): Finding {
  return judgeCores(os.availableParallelism(), readCpuLimit('/'));
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
