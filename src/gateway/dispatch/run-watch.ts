/**
 * Watches the run of an instance, and ends its process where the run must not go on.
 *
 * WATCH-1: a run that makes progress ends by its answer, at the latest after its limit.
 * WATCH-2: a run whose threads neither took CPU time nor could have taken any for `HANG_MS` hangs, whatever its limit. A run on a
 *          device, and a run of code, hangs only where its process is stopped.
 * WATCH-3: a run that no caller waits for is ended for requests that wait for its instance: not before it took longer than
 *          expected by the time that a restart takes, and not where its threads only waited for a core.
 * WATCH-4: time in which this process did not run itself is no sign of a hang.
 * WATCH-5: an answer that has arrived by the time of the decision is taken.
 */

import type { RunDemand } from '../batch/executor.ts';
import type { RunnerEnd } from './runner-end.ts';
import { MUCH_MEMORY, runMemoryLimit } from './runner-memory.ts';
import type { ThreadActivity } from './thread-activity.ts';

/** How long a run may take. */
export interface RunBounds {
  /** The run ends after so many milliseconds, whatever it does. */
  readonly maxMs: number;
  /** Who waits for its answer, and for its instance; absent where nothing but the answer matters. */
  readonly demand?: RunDemand | undefined;
  /** How long the instances of its process take to come back, in milliseconds. */
  readonly restartMs?: number;
  /** The run is code, which may wait for something outside: other models, a network, a disk. */
  readonly mayWait?: boolean;
}

export interface WatchedProcess {
  /** Resident bytes. */
  memory(): number;
  /** Activity of the run's threads; `undefined` if the system does not report it. */
  activity(): Promise<ThreadActivity | undefined>;
  kill(end: RunnerEnd): void;
}

interface WatchedRun extends RunBounds {
  readonly startedAt: number;
  /** Memory of the process at the first look. */
  memoryBefore: number | undefined;
  /** CPU time of the threads at the first look. */
  cpuBefore: number | undefined;
  /** The last look at the threads, and when it was. */
  activity: ThreadActivity | undefined;
  activityAt: number;
  /** Since when the threads made no progress, in milliseconds of this process' own attention. */
  stillMs: number;
}

/** Runs that take longer are looked at this often, and their threads this often. */
const LOOK_MS = 100;
const ACTIVITY_MS = 500;
/**
 * Threads that hold an instance and do nothing for so long hang. A thread that is only starved is runnable, however long it is
 * starved; the time is for what sleeps between two pieces of work, or is stopped for a moment.
 */
const HANG_MS = 2_000;
/** CPU time is counted in steps of 10 ms, so that a difference of two readings is off by as much. */
const CPU_ERROR_MS = 20;

export class RunWatch {
  readonly instance: number;
  readonly #watched: WatchedProcess;
  /** Its threads sleep while a device or other threads compute: only a stopped process shows that nothing does. */
  readonly #usesDevice: boolean;
  #run: WatchedRun | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @param usesDevice the session computes on another device than the CPU, or in threads that are not known */
  constructor(instance: number, watched: WatchedProcess, usesDevice: boolean) {
    this.instance = instance;
    this.#watched = watched;
    this.#usesDevice = usesDevice;
  }

  start(bounds: RunBounds): void {
    const now = performance.now();
    this.#run = {
      ...bounds,
      startedAt: now,
      memoryBefore: undefined,
      cpuBefore: undefined,
      activity: undefined,
      activityAt: Number.NEGATIVE_INFINITY,
      stillMs: 0,
    };
    this.#timer = setTimeout(this.#look, Math.min(LOOK_MS, bounds.maxMs), this.#run);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#run = undefined;
  }

  readonly #look = (run: WatchedRun): void => {
    const memory = this.#watched.memory();
    run.memoryBefore ??= memory;
    const taken = memory - run.memoryBefore;
    if (taken > runMemoryLimit()) {
      this.#watched.kill({ cause: tookMemory(taken), timedOut: false, memory: 'of-some-run' });
      return;
    }
    void this.#judge(run, taken).then((end) => {
      if (this.#run !== run) return;
      if (end === undefined) {
        const left = run.startedAt + run.maxMs - performance.now();
        this.#timer = setTimeout(this.#look, Math.min(LOOK_MS, Math.max(0, left)), run);
        return;
      }
      // After a late timer the event loop has not read yet what has arrived.
      setImmediate(() => {
        if (this.#run === run) this.#watched.kill(end);
      });
    });
  };

  /** @returns why the run has to end now, if so */
  async #judge(run: WatchedRun, takenBytes: number): Promise<RunnerEnd | undefined> {
    const now = performance.now();
    const isOver = now >= run.startedAt + run.maxMs;
    const isInTheWay = isOverdue(run, now) && run.demand?.isInTheWay() === true;
    if (!isOver && !isInTheWay && now < run.activityAt + ACTIVITY_MS) return undefined;
    this.#observe(run, await this.#watched.activity());
    if (run.stillMs >= HANG_MS) return hangs(takenBytes);
    if (isOver) return this.#late(run, takenBytes);
    if (!isInTheWay || !(this.#maySleep(run) || hasComputed(run))) return undefined;
    const ranMs = Math.round(performance.now() - run.startedAt);
    return {
      cause: `ended a run of ${ranMs} ms that no caller waited for: other requests need its instance`,
      timedOut: false,
      culprit: { instance: this.instance, fault: 'abandoned' },
    };
  }

  #observe(run: WatchedRun, activity: ThreadActivity | undefined): void {
    const now = performance.now();
    const { activity: before } = run;
    const sinceMs = Math.min(ACTIVITY_MS, now - run.activityAt);
    run.cpuBefore ??= activity?.cpuMs;
    run.activity = activity;
    run.activityAt = now;
    if (before === undefined || activity === undefined) run.stillMs = 0;
    else run.stillMs = this.#isStill(run, before, activity) ? run.stillMs + sinceMs : 0;
  }

  #isStill(run: WatchedRun, before: ThreadActivity, { cpuMs, state }: ThreadActivity): boolean {
    if (cpuMs !== before.cpuMs || state === 'runnable') return false;
    return state === 'stopped' || !this.#maySleep(run);
  }

  #maySleep({ mayWait }: WatchedRun): boolean {
    return this.#usesDevice || mayWait === true;
  }

  #late(run: WatchedRun, takenBytes: number): RunnerEnd {
    const late = `no answer within ${Math.round(run.maxMs)} ms`;
    if (takenBytes >= MUCH_MEMORY)
      return { cause: `${tookMemory(takenBytes)}: ${late}`, timedOut: true, memory: 'of-some-run' };
    if (!makesProgress(run) && run.mayWait !== true) return { cause: late, timedOut: true };
    return { cause: late, timedOut: true, culprit: { instance: this.instance, fault: 'overran' } };
  }
}

/** As far as the system says. */
function makesProgress({ activity, cpuBefore = 0, stillMs }: WatchedRun): boolean {
  if (activity === undefined || stillMs > 0) return false;
  return activity.state === 'runnable' || activity.cpuMs > cpuBefore;
}

/** It took longer than expected by the time that it costs to end it. */
function isOverdue({ startedAt, demand, restartMs = 0 }: WatchedRun, now: number): boolean {
  return demand !== undefined && now - startedAt >= demand.expectedMs + restartMs;
}

/** It has computed for longer than expected, rather than waited for a core; true where the system does not say. */
function hasComputed({ activity, cpuBefore = 0, demand }: WatchedRun): boolean {
  return activity === undefined || activity.cpuMs - cpuBefore > (demand?.expectedMs ?? 0) + CPU_ERROR_MS;
}

function hangs(takenBytes: number): RunnerEnd {
  const cause = `made no progress for ${HANG_MS} ms of a run`;
  if (takenBytes < MUCH_MEMORY) return { cause, timedOut: true };
  return { cause: `${tookMemory(takenBytes)}: ${cause}`, timedOut: true, memory: 'of-some-run' };
}

function tookMemory(bytes: number): string {
  return `took ${bytes} bytes of memory for a run`;
}
