/**
 * Activity of a run's threads, as Linux counts it (proc_pid_stat(5)): the CPU time that they took, and whether they could use
 * more. A clock cannot distinguish a hanging thread from one that waits for a busy or throttled core.
 */

import fs from 'node:fs/promises';

export interface ThreadActivity {
  /** CPU time that the threads took since they were started, in steps of 10 ms. */
  readonly cpuMs: number;
  /**
   * `runnable`: one of them runs, waits for a core (also where its cgroup is throttled), or waits for a disk. `stopped`: all of
   * them are, by a signal or a debugger. `sleeping`: they wait for something else.
   */
  readonly state: 'runnable' | 'sleeping' | 'stopped';
}

/** The kernel reports CPU time in hundredths of a second, on every platform that Node runs on. */
const TICK_MS = 10;

/** @returns `undefined` where the system does not say, or no such thread is left. */
export async function threadActivity(pid: number, threads: readonly number[]): Promise<ThreadActivity | undefined> {
  const texts = await Promise.all(threads.map((thread) => readStat(`/proc/${pid}/task/${thread}/stat`)));
  const stats = texts.map(parseStat).filter((stat) => stat !== undefined);
  if (stats.length === 0) return undefined;
  const states = stats.map(({ state }) => state);
  return {
    cpuMs: stats.reduce((sum, { ticks }) => sum + ticks, 0) * TICK_MS,
    state: states.some((state) => RUNNABLE.has(state))
      ? 'runnable'
      : states.every((state) => STOPPED.has(state))
        ? 'stopped'
        : 'sleeping',
  };
}

/** Running or ready to run; waiting for a disk, where a signal would not end it either. */
const RUNNABLE: ReadonlySet<string> = new Set(['R', 'D']);
/** By a signal; by a debugger. */
const STOPPED: ReadonlySet<string> = new Set(['T', 't']);

function parseStat(text: string): { readonly state: string; readonly ticks: number } | undefined {
  // The second field is the thread's name in parentheses, and may hold any character.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state] = fields;
  const ticks = Number(fields[11]) + Number(fields[12]);
  return state === undefined || Number.isNaN(ticks) ? undefined : { state, ticks };
}

/** Empty for a thread that is gone. */
function readStat(file: string): Promise<string> {
  return fs.readFile(file, 'utf8').catch(() => '');
}
