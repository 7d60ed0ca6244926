/** One level of load: a warm-up, then the window that is measured. */

import { setTimeout as delay } from 'node:timers/promises';
import type { Arrivals } from './arrivals.ts';
import type { PreparedCall } from './call-target.ts';
import { bottleneckOf, type ClientUse, ClientWatch, tolerableMs } from './client-watch.ts';
import { closedLoop, openLoop } from './loops.ts';
import { seeded } from './random.ts';
import type { LevelResult, Slo } from './result.ts';
import { type ServerCounters, serverWork } from './statistics.ts';
import type { Tally } from './tally.ts';

export type Level =
  | { readonly kind: 'open'; readonly ratePerS: number; readonly arrivals: Arrivals }
  | { readonly kind: 'closed'; readonly concurrency: number };

export interface LevelPlan {
  readonly calls: readonly PreparedCall[];
  readonly warmUpMs: number;
  readonly durationMs: number;
  /** Deadline of each call. */
  readonly deadlineMs: number;
  readonly slo: Slo | undefined;
  /** Asks the server for its counters; resolves to `undefined` where it has none. */
  readonly counters: () => Promise<ServerCounters | undefined>;
}

/** Every run draws the same arrivals. */
const SEED = 1;

/** Resolves when all calls have ended. Failed calls are counted. */
export async function runLevel(level: Level, plan: LevelPlan): Promise<LevelResult> {
  const { calls, warmUpMs, durationMs, deadlineMs, counters } = plan;
  const startAt = performance.now();
  const window = { openAt: startAt + warmUpMs, closeAt: startAt + warmUpMs + durationMs };
  const load =
    level.kind === 'open'
      ? openLoop(calls, { ...level, random: seeded(SEED) }, startAt, window, deadlineMs)
      : closedLoop(calls, level.concurrency, window, deadlineMs);
  const observation = observe(warmUpMs, window.closeAt, counters);
  const [tally, { use, server }] = await Promise.all([load, observation]);
  return toResult(level, plan, tally, use, server);
}

async function observe(
  warmUpMs: number,
  closeAt: number,
  counters: LevelPlan['counters'],
): Promise<{ use: ClientUse; server: LevelResult['server'] }> {
  await delay(warmUpMs);
  const watch = new ClientWatch();
  const before = await counters();
  await delay(Math.max(0, closeAt - performance.now()));
  const use = watch.end();
  const after = await counters();
  const server = before === undefined || after === undefined ? undefined : serverWork(before, after);
  return { use, server };
}

function toResult(
  level: Level,
  { durationMs, slo }: LevelPlan,
  tally: Tally,
  use: ClientUse,
  server: LevelResult['server'],
): LevelResult {
  const seconds = durationMs / 1_000;
  const latency = tally.latency();
  const p50Ms = latency?.p50 ?? 0;
  const lateShare = tally.shareSentAfter(tolerableMs(p50Ms));
  const bottleneck = bottleneckOf({ ...use, p50Ms, p99Ms: latency?.p99 ?? 0, lateShare });
  const inTime = slo === undefined ? 0 : tally.answeredWithin(slo.ms);
  return {
    ...(level.kind === 'open' ? { ratePerS: level.ratePerS } : { concurrency: level.concurrency }),
    calls: tally.calls,
    answered: tally.answers,
    failures: tally.failures,
    ...(tally.firstFailure !== undefined && { firstFailure: tally.firstFailure }),
    answeredPerS: tally.answers / seconds,
    ...(slo !== undefined && {
      goodputPerS: inTime / seconds,
      slo: sloOf(slo, tally.calls, inTime, bottleneck !== undefined),
    }),
    latencyMs: bottleneck === undefined ? (latency ?? null) : null,
    client: { ...use, lateShare, ...(bottleneck !== undefined && { bottleneck }) },
    ...(server !== undefined && { server }),
  };
}

/** A latency holds the delays of the client, so that a busy client never makes a server look better. */
function sloOf(slo: Slo, calls: number, inTime: number, isClientBusy: boolean): NonNullable<LevelResult['slo']> {
  const withinShare = calls === 0 ? 0 : inTime / calls;
  if (calls > 0 && withinShare >= slo.share) return { withinShare, verdict: 'met' };
  return { withinShare, verdict: isClientBusy ? 'unknown' : 'missed' };
}
