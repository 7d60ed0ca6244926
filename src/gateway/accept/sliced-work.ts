/** Work on many elements, in slices of the event loop, so that everything else of the server goes on meanwhile. */

import type { Call } from './call.ts';
import { cancelled } from './cancellation.ts';
import { SLICES } from './slices.ts';

export interface SlicedWork {
  /** Works on, through about so many elements, each of some nanoseconds. @returns whether that was all */
  advance(elements: number): boolean;
}

/** Between two looks at the clock: at most a millisecond. */
const ELEMENTS = 4_096;

/**
 * Resolves when all of `work` is done. It ends with its next slice when its call has ended, or the time of that is over.
 * @throws InferError `cancelled` or `deadline_exceeded`, or what the work throws
 */
export async function inSlices(work: SlicedWork, call: Pick<Call, 'cancelled' | 'deadline'>): Promise<void> {
  for (;;) {
    await SLICES.next();
    const isLate = performance.now() >= call.deadline;
    if (call.cancelled || isLate) throw cancelled(isLate ? 'deadline' : 'client');
    while (!SLICES.isOver) if (work.advance(ELEMENTS)) return;
  }
}
