/** What a client's proxy says of its second attempts. */

import assert from 'node:assert/strict';
import type { ClientName, Mesh } from '../rig/mesh.ts';

export interface Retries {
  readonly made: number;
  /** Not made, because the budget was spent. */
  readonly overflow: number;
}

export async function retriesOf(mesh: Mesh, client: ClientName): Promise<Retries> {
  const pattern = /outbound\|8001\|(stable|canary)\|.*upstream_rq_retry(_overflow)?$/;
  const stats = [...(await mesh.proxyStats(mesh.client(client), pattern))];
  const total = (suffix: string): number =>
    stats.filter(([name]) => name.endsWith(suffix)).reduce((all, [, value]) => all + value, 0);
  return { made: total('upstream_rq_retry'), overflow: total('upstream_rq_retry_overflow') };
}

export function since(before: Retries, after: Retries): Retries {
  return { made: after.made - before.made, overflow: after.overflow - before.overflow };
}

/**
 * Where one pod of three refuses, its calls are answered by another one. Envoy draws the pod of a second attempt at most six
 * times, and takes the last: while other pods get less, after an ejection, it may be the bad one again. Seen of 1 in 80.
 *
 * @param refused how many calls the client got UNAVAILABLE for
 * @param refusals how often the bad pod refused
 */
export function assertSaved(refused: number, refusals: number, retries: number): void {
  const figures = `${refused} calls refused, ${refusals} refusals of the bad pod, ${retries} second attempts`;
  assert.equal(refusals, retries + refused, `a call was refused that did not meet the bad pod twice: ${figures}`);
  assert(4 * refused <= retries, `second attempts do not go to another pod: ${figures}`);
}
