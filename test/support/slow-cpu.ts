/** Ways to leave a process less of a core than it wants. */

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Stops and continues a process again and again, as cpulimit does, so that it runs a part of the time only. */
export class DutyCycle implements AsyncDisposable {
  readonly #ended: Promise<void>;
  #isOver = false;

  constructor(pid: number, times: { readonly runMs: number; readonly stopMs: number }) {
    this.#ended = this.#run(pid, times);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    await this.#ended;
  }

  async #run(pid: number, { runMs, stopMs }: { readonly runMs: number; readonly stopMs: number }): Promise<void> {
    try {
      while (!this.#isOver) {
        process.kill(pid, 'SIGSTOP');
        await sleep(stopMs);
        process.kill(pid, 'SIGCONT');
        await sleep(runMs);
      }
    } catch {
      // It has ended.
    }
  }
}

/** Pins all threads of a process to one core, at the lowest priority, beside a neighbour that wants all of that core. */
export function starve(pid: number): Disposable {
  const core = firstCore();
  for (const thread of fs.readdirSync(`/proc/${pid}/task`)) os.setPriority(Number(thread), 19);
  spawn('taskset', ['--all-tasks', '--cpu-list', '--pid', core, String(pid)], { stdio: 'ignore' });
  const neighbour = spawn('taskset', ['--cpu-list', core, process.execPath, '-e', 'for (;;);'], { stdio: 'ignore' });
  // Beside a neighbour of a higher priority, the process would get no time at all.
  if (neighbour.pid !== undefined && os.getPriority() < 0) os.setPriority(neighbour.pid, 0);
  return { [Symbol.dispose]: () => void neighbour.kill('SIGKILL') };
}

/** The first core that this process may use. */
function firstCore(): string {
  const list = /^Cpus_allowed_list:\s*(\d+)/m.exec(fs.readFileSync('/proc/self/status', 'utf8'))?.[1];
  return list ?? '0';
}

/** Where cgroups of the first version limit CPU time. */
const CPU_CGROUPS = '/sys/fs/cgroup/cpu';

/** Whether this process may throttle others. */
export const CAN_THROTTLE = isWritable(path.join(CPU_CGROUPS, 'cpu.cfs_quota_us'));

/** Moves a process into a cgroup that gets so many percent of a core. */
export function throttle(pid: number, percent: number): Disposable {
  const group = path.join(CPU_CGROUPS, `tensorgate-test-${pid}`);
  fs.mkdirSync(group);
  fs.writeFileSync(path.join(group, 'cpu.cfs_period_us'), '100000');
  fs.writeFileSync(path.join(group, 'cpu.cfs_quota_us'), String(percent * 1_000));
  fs.writeFileSync(path.join(group, 'cgroup.procs'), String(pid));
  return {
    [Symbol.dispose]: () => {
      // A group goes when no process is in it.
      for (const left of fs.readFileSync(path.join(group, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean)) {
        fs.writeFileSync(path.join(CPU_CGROUPS, 'cgroup.procs'), left);
      }
      fs.rmdirSync(group);
    },
  };
}

function isWritable(file: string): boolean {
  try {
    fs.accessSync(file.replace('cpu.cfs_quota_us', 'cgroup.procs'), fs.constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
