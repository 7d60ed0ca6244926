/** The order of the requests of one flow: ascending by when they are due. */

import type { QueuedRequest } from './queued-request.ts';

/** Where the first request that is due later stands. */
export function indexAfter(requests: readonly Pick<QueuedRequest, 'due'>[], due: number): number {
  let low = 0;
  let high = requests.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((requests[middle]?.due ?? Number.POSITIVE_INFINITY) <= due) low = middle + 1;
    else high = middle;
  }
  return low;
}
