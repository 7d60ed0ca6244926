/** What a process has used, from `/proc`. */

import fs from 'node:fs';

/** The ticks of `/proc/<pid>/stat` on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

/** User and system time of a process and its threads, in milliseconds. */
export function cpuMsOf(pid: number): number {
  const fields = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return ((Number(fields[11]) + Number(fields[12])) * 1_000) / TICKS_PER_SECOND;
}

/** Resident memory of a process, in MiB. */
export function residentMibOf(pid: number): number {
  const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
}
