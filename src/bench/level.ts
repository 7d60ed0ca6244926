/** One level of load: a warm-up, then the window that is measured. */

import { setTimeout as delay } from 'node:timers/promises';
import { bottleneckOf, type ClientUse, tolerableMs } from './client-watch.ts';
import type { Level, LoadSender, LoadTimes } from './load-sender.ts';
import type { LevelResult, Slo } from './result.ts';
import { type ServerCounters, serverWork } from './statistics.ts';
import type { Tally } from './tally.ts';

export interface LevelPlan extends LoadTimes {
  readonly sender: LoadSender;
  readonly slo: Slo | undefined;
  /** Asks the server for its counters; resolves to `undefined` where it has none. */
  readonly counters: () => Promise<ServerCounters | undefined>;
}

/** Resolves when all calls have ended. Failed calls are counted. */
export async function runLevel(level: Level, plan: LevelPlan): Promise<LevelResult> {
  const { sender, warmUpMs, durationMs, deadlineMs, counters } = plan;
  const [{ tally, use }, server] = await Promise.all([
    sender.send(level, { warmUpMs, durationMs, deadlineMs }),
    observe(warmUpMs, durationMs, counters),
  ]);
  return toResult(level, plan, tally, use, server);
}

async function observe(
  warmUpMs: number,
  durationMs: number,
  counters: LevelPlan['counters'],
): Promise<LevelResult['server']> {
  const openAt = performance.now() + warmUpMs;
  await delay(warmUpMs);
  const before = await counters();
  await delay(Math.max(0, openAt + durationMs - performance.now()));
  const after = await counters();
  return before === undefined || after === undefined ? undefined : serverWork(before, after);
}

function toResult(
  level: Level,
  { sender, durationMs, slo }: LevelPlan,
  tally: Tally,
  use: ClientUse,
  server: LevelResult['server'],
): LevelResult {
  const seconds = durationMs / 1_000;
  const latency = tally.latency();
  const p50Ms = latency?.p50 ?? 0;
  const lateShare = tally.shareSentAfter(tolerableMs(p50Ms));
  const bottleneck = bottleneckOf({ ...use, p50Ms, p99Ms: latency?.p99 ?? 0, lateShare });
  const spread = tally.spread(durationMs);
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
    ...(bottleneck === undefined && spread !== undefined && { spread }),
    client: { processes: sender.processes, ...use, lateShare, ...(bottleneck !== undefined && { bottleneck }) },
    ...(server !== undefined && { server }),
  };
}

/** A latency holds the delays of the client, so that a busy client never makes a server look better. */
function sloOf(slo: Slo, calls: number, inTime: number, isClientBusy: boolean): NonNullable<LevelResult['slo']> {
  const withinShare = calls === 0 ? 0 : inTime / calls;
  if (calls > 0 && withinShare >= slo.share) return { withinShare, verdict: 'met' };
  return { withinShare, verdict: isClientBusy ? 'unknown' : 'missed' };
}
