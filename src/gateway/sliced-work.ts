/**
 * Work that takes long, a slice in each turn of the event loop, so that everything else of the server goes on meanwhile.
 *
 * W1: all of it together takes one slice of a turn, however much there is: it takes turns.
 * W2: work whose call has ended, or whose time is over, ends with its next slice.
 */

import type { Call } from './accept/call.ts';
import { cancelled } from './batch/scheduler.ts';

export interface SlicedWork {
  /** Works on, through about so many elements, each of some nanoseconds. @returns whether that was all */
  advance(elements: number): boolean;
}

const SLICE_MS = 8;
/** Between two looks at the clock: at most a millisecond. */
const ELEMENTS = 4_096;

interface Job {
  readonly work: SlicedWork;
  readonly call: Pick<Call, 'cancelled' | 'deadline'>;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** W1: of the process, because it has one event loop. */
const jobs: Job[] = [];
let isScheduled = false;

/**
 * Resolves when all of `work` is done.
 * @throws InferError `cancelled` or `deadline_exceeded` (W2), or what the work throws
 */
export function inSlices(work: SlicedWork, call: Pick<Call, 'cancelled' | 'deadline'>): Promise<void> {
  return new Promise((resolve, reject) => {
    jobs.push({ work, call, resolve, reject });
    schedule();
  });
}

function schedule(): void {
  if (isScheduled || jobs.length === 0) return;
  isScheduled = true;
  setImmediate(runSlice);
}

function runSlice(): void {
  isScheduled = false;
  const end = performance.now() + SLICE_MS;
  for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) {
    if (!advance(job, end)) jobs.push(job);
    if (performance.now() >= end) break;
  }
  schedule();
}

/** @returns whether it is over. */
function advance({ work, call, resolve, reject }: Job, end: number): boolean {
  try {
    const now = performance.now();
    if (call.cancelled || now >= call.deadline) throw cancelled(now >= call.deadline ? 'deadline' : 'client');
    while (!work.advance(ELEMENTS)) if (performance.now() >= end) return false;
    resolve();
  } catch (error) {
    reject(error);
  }
  return true;
}
