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
  // A low limit is nothing to warn of: models get their instances by it.
  return { level: 'ok', subject, text };
}
