/** Callers that name no deadline: an overloaded model must still answer as much as it can, soon. */

import { poisson } from '../arrivals.ts';
import { type Case, type CaseResult, type Measure, percent, type RunOptions } from '../case.ts';
import { closedLoop } from '../client.ts';
import { CNN, type Curve, capacity, GPU_LIKE, MINILM_32, RESNET_50, runMs } from '../curves.ts';
import { SimulatedInstances } from '../instances.ts';
import { makeScheduler, warmUp } from '../model.ts';
import { answerMs, fatesText, goodput, inTimeShare, sentIn, serve } from '../scenario.ts';
import { VirtualClock } from '../virtual-clock.ts';

const BAR = 0.95;
const SETTLE_MS = 2_000;

/** The default of `tensorgate.objective_ms`. */
export function defaultObjectiveMs(curve: Curve): number {
  return Math.max(250, 10 * runMs(curve, 1));
}

async function run({ seeds, isShort }: RunOptions): Promise<CaseResult> {
  const measures: Measure[] = [];
  const rows: string[][] = [];
  for (const curve of isShort ? [CNN] : [CNN, RESNET_50, MINILM_32, GPU_LIKE]) {
    const objectiveMs = defaultObjectiveMs(curve);
    const spanMs =
      SETTLE_MS + (isShort ? 4_000 : capacity(curve) > 1 ? 5_000 : capacity(curve) < 0.1 ? 60_000 : 10_000);
    for (const load of [0.9, 1.2, 2, 20]) {
      const rate = load * capacity(curve);
      const arrivals = poisson(rate, Math.ceil(rate * spanMs), seeds[0] ?? 1);
      const { replies } = await serve({ curve, arrivals, plan: () => ({ targetMs: objectiveMs }) });
      const value = goodput(replies, SETTLE_MS, spanMs) / (Math.min(1, load) * capacity(curve));
      const bar = load > 1 ? { atLeast: BAR } : undefined;
      measures.push({ name: `${curve.name} at ${load}x`, value, unit: 'ratio', bar });
      const later = sentIn(SETTLE_MS);
      const answer = (share: number): string => `${answerMs(replies, share, later).toFixed(0)} ms`;
      rows.push([
        curve.name,
        `${load}x`,
        `${objectiveMs} ms`,
        value.toFixed(3),
        answer(0.5),
        answer(0.99),
        fatesText(replies, later),
      ]);
    }
  }
  measures.push(await closedLoopRefusals(CNN, 256, isShort ? 3_000 : 10_000));
  const columns = ['curve', 'load', 'objective', 'goodput', 'p50', 'p99', 'others'];
  return { measures, tables: [{ title: 'Answers within the objective, over the capacity', columns, rows }] };
}

/** perf_analyzer keeps so many requests in flight: none of them may be refused. */
async function closedLoopRefusals(curve: Curve, concurrency: number, spanMs: number): Promise<Measure> {
  using clock = new VirtualClock();
  const instances = new SimulatedInstances(clock, { cost: ({ rows }) => runMs(curve, rows), noise: 0.05 });
  const scheduler = makeScheduler({ maxRows: curve.maxRows }, instances);
  warmUp(scheduler, curve);
  const replies = closedLoop(clock, scheduler, concurrency, spanMs, {});
  await clock.run();
  const name = `${curve.name}, ${concurrency} in flight: not answered`;
  return { name, value: 1 - inTimeShare(replies), unit: 'share', bar: { atMost: 0 } };
}

export const NO_DEADLINE: Case = {
  name: 'no-deadline',
  title: 'Callers without deadlines',
  about: `Goodput within the objective, over the capacity (over the offered rate where that is less), from ${percent(0.9, 0)} to 20 times the capacity.`,
  run,
};
