/** Processes, as the system sees them. */

import fs from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** The children of a process that live: a zombie does not. */
export function processesOf(pid: number): number[] {
  const text = fs
    .readdirSync(`/proc/${pid}/task`)
    .map((thread) => read(`/proc/${pid}/task/${thread}/children`))
    .join(' ');
  return text
    .split(' ')
    .filter(Boolean)
    .map(Number)
    .filter((child) => !/^\d+ \(.*\) Z/s.test(read(`/proc/${child}/stat`) || '0 (gone) Z'));
}

/** Bytes of memory that a process and its children hold by themselves: code that is mapped, they share with whatever else runs it. */
export function memoryOfTree(pid: number): number {
  const sizes = [pid, ...processesOf(pid)].map((each) => {
    return Number(/^RssAnon:\s+(\d+) kB/m.exec(read(`/proc/${each}/status`))?.[1] ?? 0) * 1024;
  });
  return sizes.reduce((sum, size) => sum + size, 0);
}

/**
 * Stops a process. Resolves when none of its threads runs any more: the signal only asks for that, and on a busy machine those
 * that sleep answer a request or two before the one that it was given to.
 */
export async function stopProcess(pid: number): Promise<void> {
  process.kill(pid, 'SIGSTOP');
  while (
    !threadsOf(pid).every((thread) =>
      /^\d+ \(.*\) [TZX]/s.test(read(`/proc/${pid}/task/${thread}/stat`) || '0 (gone) X'),
    )
  )
    await sleep(1);
}

function threadsOf(pid: number): string[] {
  try {
    return fs.readdirSync(`/proc/${pid}/task`);
  } catch {
    return []; // gone meanwhile
  }
}

function read(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return ''; // gone meanwhile
  }
}
