/** The two ways to send load. Both send the prepared calls in turn. */

import { type Arrivals, gapMs } from './arrivals.ts';
import type { PreparedCall } from './call-target.ts';
import type { Random } from './random.ts';
import { Tally } from './tally.ts';

/** Times by the clock of `performance.now()`. */
export interface Window {
  /** Calls before it warm the server, and do not count. */
  readonly openAt: number;
  readonly closeAt: number;
}

/** Longest sleep that is not worth a timer: calls that are due this soon are sent at once. */
const TIMER_MS = 1;

/**
 * Keeps `concurrency` calls under way until the window closes. Calls that end within the window count.
 * @param deadlineMs of each call
 */
export async function closedLoop(
  calls: readonly PreparedCall[],
  concurrency: number,
  window: Window,
  deadlineMs: number,
): Promise<Tally> {
  const tally = new Tally();
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let sentAt = performance.now(); sentAt < window.closeAt; sentAt = performance.now()) {
      const outcome = await calls[next++ % calls.length]?.(deadlineMs);
      const now = performance.now();
      const isOk = outcome?.status === 'OK';
      if (outcome !== undefined && now >= window.openAt && now < window.closeAt) {
        if (isOk) tally.answered(now - sentAt, now - window.openAt);
        else tally.failed(outcome.status, outcome.details);
      }
      // A server that refuses at once must not keep timers from running.
      if (!isOk) await new Promise((resolve) => setImmediate(resolve));
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return tally;
}

export interface OpenLoad {
  readonly ratePerS: number;
  readonly arrivals: Arrivals;
  readonly random: Random;
}

/**
 * Sends at a rate, whether or not answers come. Calls that are due within the window count, and their latency begins when they are
 * due: a call that the client sends late has waited as a caller would have.
 * @param startAt when the first gap begins
 * @param deadlineMs of each call
 */
export async function openLoop(
  calls: readonly PreparedCall[],
  { ratePerS, arrivals, random }: OpenLoad,
  startAt: number,
  window: Window,
  deadlineMs: number,
): Promise<Tally> {
  const tally = new Tally();
  const pending = new Set<Promise<void>>();
  let index = 0;
  for (
    let due = startAt + gapMs(arrivals, ratePerS, random);
    due < window.closeAt;
    due += gapMs(arrivals, ratePerS, random)
  ) {
    // A timer fires up to a millisecond late, and waiting without one would keep the processor busy.
    for (let left = due - performance.now(); left >= TIMER_MS; left = due - performance.now()) {
      await new Promise((resolve) => setTimeout(resolve, Math.floor(left)));
    }
    const call = calls[index++ % calls.length];
    if (call === undefined) throw new RangeError('an open loop needs a call to send');
    const sent = counted(call, due, window, deadlineMs, tally);
    pending.add(sent);
    void sent.finally(() => pending.delete(sent));
    // Answers are received between the calls of a burst.
    if (index % 16 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(pending);
  return tally;
}

async function counted(
  call: PreparedCall,
  due: number,
  window: Window,
  deadlineMs: number,
  tally: Tally,
): Promise<void> {
  const sentAt = performance.now();
  const counts = due >= window.openAt;
  if (counts) tally.sentAfter(Math.max(0, sentAt - due));
  const { status, details } = await call(deadlineMs);
  if (!counts) return;
  if (status === 'OK') tally.answered(performance.now() - Math.min(due, sentAt), due - window.openAt);
  else tally.failed(status, details);
}
