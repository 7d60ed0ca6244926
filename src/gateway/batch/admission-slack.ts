/** How much work may wait before a request for it to be admitted. */

import type { RequestTimes } from './request-times.ts';

/**
 * A request is refused where its predicted answer takes more than this many times the time left. Beyond 1 because the decision
 * sheds old requests under overload, so a new one has better odds than its place says. In simulated loads (`npm run simulate`, case
 * `grid`) 1 answers a point fewer in time than 2, and 2 answers 0.2 to 0.4 points fewer than 3.
 */
const DEADLINE_SLACK = 3;
/** The same for a caller who named no deadline. The objective is long, and a longer queue answers no more: 3 only sheds later. */
const OBJECTIVE_SLACK = 2;

/** How many times the time left the predicted answer of an admitted request may take. */
export function admissionSlack({ objectiveAt, latestAt }: Pick<RequestTimes, 'objectiveAt' | 'latestAt'>): number {
  return objectiveAt < latestAt ? OBJECTIVE_SLACK : DEADLINE_SLACK;
}
