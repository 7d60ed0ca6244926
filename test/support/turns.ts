import { collectGarbage } from './collect-garbage.ts';

export interface Turns {
  /** CPU time of the longest one, in milliseconds: other work on the machine does not lengthen it. */
  readonly longestMs: number;
  readonly count: number;
}

/** Turns of the event loop while `work` is under way. Garbage of earlier tests is collected before, and not in one of them. */
export async function turnsOf(work: () => Promise<unknown>): Promise<Turns> {
  collectGarbage();
  let [longestMs, count] = [0, 0];
  let isDone = false;
  let before = process.threadCpuUsage();
  const look = (): void => {
    const { user, system } = process.threadCpuUsage(before);
    before = process.threadCpuUsage();
    longestMs = Math.max(longestMs, (user + system) / 1_000);
    count++;
    if (!isDone) setImmediate(look);
  };
  setImmediate(look);
  await work().finally(() => {
    isDone = true;
  });
  look();
  return { longestMs, count };
}
