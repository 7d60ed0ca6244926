/**
 * The memory of a run. ONNX Runtime has no limit that Node could set: a few bytes can ask for a tensor of any
 * size, and where memory ends the system ends a process of its choice.
 */

import fs from 'node:fs';
import os from 'node:os';
import { memoryLimit } from '../ops/machine-capacity.ts';

/** Share of all memory that one run may take. */
const SHARE_OF_A_RUN = 0.5;
/** A run that has taken this much and gives no answer in time is about its memory. */
export const MUCH_MEMORY = 512 * 2 ** 20;
/** Added to the score by which the system chooses what to end: runners go before the gateway. */
const SCORE = 500;
const MAX_SCORE = 1_000;

/** Bytes that the process may take for one run. */
export function runMemoryLimit(): number {
  return SHARE_OF_A_RUN * memoryLimit(process.constrainedMemory(), os.totalmem());
}

/** Resident memory of a process, in bytes; 0 where the system does not say. */
export function residentBytes(pid: number): number {
  try {
    const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return Number(kilobytes ?? 0) * 1_024;
  } catch {
    return 0;
  }
}

/** Makes the kernel kill the process before the gateway when memory runs out. */
export function preferAsOomVictim(pid: number): void {
  try {
    const own = Number(fs.readFileSync('/proc/self/oom_score_adj', 'utf8'));
    fs.writeFileSync(`/proc/${pid}/oom_score_adj`, String(Math.min(MAX_SCORE, own + SCORE)));
  } catch {
    // It has ended already, or the system has no such score.
  }
}
