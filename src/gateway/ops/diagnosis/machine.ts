/** How many cores this machine, or the container on it, lends the process. Memory and open files: `ops/capacity.ts`. */

import os from 'node:os';
import { readCpuLimit } from '../machine-capacity.ts';
import type { Finding } from './finding.ts';

export function checkCores(): Finding {
  return judgeCores(os.availableParallelism(), readCpuLimit('/'));
}

/** @param limit of the control group, in cores. */
export function judgeCores(cores: number, limit: number | undefined): Finding {
  const subject = 'cores';
  const text = limit === undefined ? `${cores}, without a limit` : `${cores}, limited to ${limit} by the control group`;
  if (limit === undefined || limit >= cores) return { level: 'ok', subject, text };
  // Models get instances after the number of cores, and more of them than cores only take turns.
  const advice = `set count in each model's instance_group: by default there is one instance for each of ${cores} cores, less one`;
  return { level: 'warn', subject, text, advice };
}
