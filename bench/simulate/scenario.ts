/** One model that serves open-loop clients, and the figures of what became of their requests. */

import { quantile } from './case.ts';
import { type Answer, type Fate, type Reply, type RequestPlan, sendAll } from './client.ts';
import { type Curve, runMs } from './curves.ts';
import { type Cost, lateWork, type RunRecord, SimulatedInstances } from './instances.ts';
import { makeScheduler, warmUp } from './model.ts';
import { VirtualClock } from './virtual-clock.ts';

export interface Requests {
  readonly arrivals: Float64Array;
  /** The request at each arrival. */
  readonly plan: (index: number) => RequestPlan;
}

export interface Scenario extends Requests {
  readonly curve: Curve;
  /** By default what the curve says. */
  readonly cost?: Cost;
  /** Standard deviation of the logarithm of run times; by default 5 %. */
  readonly noise?: number;
  readonly seed?: number;
  readonly levels?: number;
  readonly objectiveMs?: number | undefined;
  /** The model was measured when it was loaded, as is the default. */
  readonly isWarm?: boolean;
}

export interface Outcome {
  readonly replies: readonly Reply[];
  readonly instances: SimulatedInstances;
}

export async function serve(scenario: Scenario): Promise<Outcome> {
  const { curve, arrivals, plan, noise = 0.05, seed = 7, levels = 1, objectiveMs, isWarm = true } = scenario;
  using clock = new VirtualClock();
  const cost: Cost = scenario.cost ?? (({ rows }) => runMs(curve, rows));
  const instances = new SimulatedInstances(clock, { cost, noise, seed });
  const scheduler = makeScheduler({ maxRows: curve.maxRows, levels, objectiveMs }, instances);
  if (isWarm) warmUp(scheduler, curve);
  const replies = sendAll(clock, scheduler, arrivals, plan);
  await clock.run();
  return { replies, instances };
}

export type ReplyFilter = (answer: Answer) => boolean;

/** Replies to requests that were sent in a span of time. */
export function sentIn(fromMs: number, toMs = Number.POSITIVE_INFINITY): ReplyFilter {
  return ({ sentMs }) => sentMs >= fromMs && sentMs < toMs;
}

/** Share of the requests that were answered in time. */
export function inTimeShare(replies: readonly Answer[], filter: ReplyFilter = () => true): number {
  const counted = replies.filter(filter);
  return counted.filter(({ fate }) => fate === 'in_time').length / counted.length;
}

/** Rows that were answered in time from `fromMs` to `toMs`, a millisecond. */
export function goodput(
  replies: readonly Answer[],
  fromMs: number,
  toMs: number,
  filter: ReplyFilter = () => true,
): number {
  let answered = 0;
  for (const reply of replies) {
    const answeredMs = reply.sentMs + reply.latencyMs;
    if (reply.fate === 'in_time' && answeredMs >= fromMs && answeredMs < toMs && filter(reply)) answered += reply.rows;
  }
  return answered / (toMs - fromMs);
}

/** The latency that a `share` of the answers does not pass. */
export function answerMs(replies: readonly Answer[], share: number, filter: ReplyFilter = () => true): number {
  const answered = replies.filter((reply) => (reply.fate === 'in_time' || reply.fate === 'late') && filter(reply));
  return quantile(
    answered.map(({ latencyMs }) => latencyMs),
    share,
  );
}

/** Share of the computing time of runs that went to requests which were not answered in time. */
export function lateShare(runs: readonly RunRecord[], replies: readonly Reply[]): number {
  const answered = new Set(replies.filter(({ fate }) => fate === 'in_time').map(({ call }) => call));
  return lateWork(runs, (call) => answered.has(call));
}

/** Such as `late 3, shed 120`: the fates other than in time. */
export function fatesText(replies: readonly Answer[], filter: ReplyFilter = () => true): string {
  const counts = new Map<Fate, number>();
  for (const reply of replies) {
    if (filter(reply) && reply.fate !== 'in_time') counts.set(reply.fate, (counts.get(reply.fate) ?? 0) + 1);
  }
  return [...counts].map(([fate, count]) => `${fate} ${count}`).join(', ');
}

/** Requests of many clients, in the order of their arrivals. */
export interface Stream {
  readonly arrivals: Float64Array;
  readonly plan: RequestPlan;
}

export function merge(streams: readonly Stream[]): Requests {
  const all = streams.flatMap(({ arrivals, plan }) => Array.from(arrivals, (arrival) => ({ arrival, plan })));
  all.sort((one, other) => one.arrival - other.arrival);
  const nothing: RequestPlan = {};
  return { arrivals: Float64Array.from(all, ({ arrival }) => arrival), plan: (index) => all[index]?.plan ?? nothing };
}
