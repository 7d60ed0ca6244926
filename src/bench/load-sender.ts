/** Sends the load of one level: from this process, or from several (`load-processes.ts`). */

import { setTimeout as delay } from 'node:timers/promises';
import type { Arrivals } from './arrivals.ts';
import type { PreparedCall } from './call-target.ts';
import { type ClientUse, ClientWatch } from './client-watch.ts';
import { closedLoop, openLoop } from './loops.ts';
import { seeded } from './random.ts';
import type { Tally } from './tally.ts';

export type Level =
  | { readonly kind: 'open'; readonly ratePerS: number; readonly arrivals: Arrivals }
  | { readonly kind: 'closed'; readonly concurrency: number };

/** Times in milliseconds. */
export interface LoadTimes {
  readonly warmUpMs: number;
  readonly durationMs: number;
  /** Deadline of each call. */
  readonly deadlineMs: number;
}

export interface SentLoad {
  readonly tally: Tally;
  readonly use: ClientUse;
}

export interface LoadSender {
  readonly processes: number;
  /** Resolves when all calls have ended. Failed calls are counted. */
  send(level: Level, times: LoadTimes): Promise<SentLoad>;
}

/** @param seed the same draws the same arrivals */
export async function sendLoad(
  calls: readonly PreparedCall[],
  level: Level,
  { warmUpMs, durationMs, deadlineMs }: LoadTimes,
  seed: number,
): Promise<SentLoad> {
  const startAt = performance.now();
  const window = { openAt: startAt + warmUpMs, closeAt: startAt + warmUpMs + durationMs };
  const load =
    level.kind === 'open'
      ? openLoop(calls, { ...level, random: seeded(seed) }, startAt, window, deadlineMs)
      : closedLoop(calls, level.concurrency, window, deadlineMs);
  const [tally, use] = await Promise.all([load, watch(warmUpMs, window.closeAt)]);
  return { tally, use };
}

async function watch(warmUpMs: number, closeAt: number): Promise<ClientUse> {
  await delay(warmUpMs);
  const use = new ClientWatch();
  await delay(Math.max(0, closeAt - performance.now()));
  return use.end();
}

/** Sends from this process. */
export class OwnLoad implements LoadSender {
  readonly processes = 1;
  readonly #calls: readonly PreparedCall[];

  constructor(calls: readonly PreparedCall[]) {
    this.#calls = calls;
  }

  send(level: Level, times: LoadTimes): Promise<SentLoad> {
    return sendLoad(this.#calls, level, times, 1);
  }
}
