/** Work on many elements, in slices of the event loop, so that everything else of the server goes on meanwhile. */

import type { InferError } from '../errors.ts';
import type { Call, CancelReason } from './call.ts';
import { cancelled } from './cancellation.ts';
import { SLICES, type SliceSource } from './slices.ts';

export interface SlicedWork {
  /** Works on, through about so many elements, each of some nanoseconds. @returns whether that was all */
  advance(elements: number): boolean;
}

/** Between two looks at the clock: at most a millisecond. */
const ELEMENTS = 4_096;

type SlicedCall = Pick<Call, 'cancelled' | 'deadline'>;

/** Slices for a call: `next` rejects with an error of `errorOf` when the call has ended, or its deadline has passed. */
export function slicesOf(call: SlicedCall, errorOf: (reason: CancelReason) => InferError = cancelled): SliceSource {
  return {
    get isOver() {
      return SLICES.isOver;
    },
    async next() {
      await SLICES.next();
      if (performance.now() >= call.deadline) throw errorOf('deadline');
      if (call.cancelled) throw errorOf('client');
    },
  };
}

/**
 * Resolves when all of `work` is done. It ends with its next slice when its call has ended, or the time of that is over.
 * @throws InferError `cancelled` or `deadline_exceeded`, or what the work throws
 */
export async function inSlices(work: SlicedWork, call: SlicedCall): Promise<void> {
  const slices = slicesOf(call);
  for (;;) {
    await slices.next();
    while (!slices.isOver) if (work.advance(ELEMENTS)) return;
  }
}
