/** Processes, as the system sees them. */

import fs from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** The children of a process that live: a zombie does not. */
export function processesOf(pid: number): number[] {
  const text = threadsOf(pid)
    .map((thread) => read(`${thread}/children`))
    .join(' ');
  return text.split(' ').filter(Boolean).map(Number).filter(isAlive);
}

/** True while the process exists and has not ended: a killed child whose parent has not waited for it is a zombie. */
export function isAlive(pid: number): boolean {
  return !HAS_ENDED.has(stateOf(`/proc/${pid}`));
}

/** Milliseconds of CPU time that a process has taken, in steps of 10. */
export function cpuOf(pid: number): number {
  const fields = read(`/proc/${pid}/stat`).split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** Bytes of memory that a process and its children hold by themselves: mapped code is shared with other processes. */
export function memoryOfTree(pid: number): number {
  const sizes = [pid, ...processesOf(pid)].map((each) => {
    return Number(/^RssAnon:\s+(\d+) kB/m.exec(read(`/proc/${each}/status`))?.[1] ?? 0) * 1024;
  });
  return sizes.reduce((sum, size) => sum + size, 0);
}

/**
 * Stops a process. Resolves when none of its threads runs any more: the signal only asks for that, and on a busy machine those
 * that sleep answer a request or two before the thread that got the signal.
 */
export async function stopProcess(pid: number): Promise<void> {
  process.kill(pid, 'SIGSTOP');
  const standsStill = (thread: string): boolean => stateOf(thread) === 'T' || HAS_ENDED.has(stateOf(thread));
  while (!threadsOf(pid).every(standsStill)) await sleep(1);
}

/** Zombie, or gone. */
const HAS_ENDED: ReadonlySet<string> = new Set(['Z', '']);

/** Field 3 of proc(5)'s stat, of a process or a thread; empty for one that is gone. */
function stateOf(directory: string): string {
  return /^\d+ \(.*\) (\w)/s.exec(read(`${directory}/stat`))?.[1] ?? '';
}

/** Their directories. */
function threadsOf(pid: number): string[] {
  return fs.readdirSync(`/proc/${pid}/task`).map((thread) => `/proc/${pid}/task/${thread}`);
}

function read(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return ''; // gone meanwhile
  }
}
