/** Callers that name no deadline: an overloaded model must still answer as much as it can, soon. */

import { poisson } from '../arrivals.ts';
import { type Case, type CaseResult, type Measure, percent, type RunOptions } from '../case.ts';
import type { Series } from '../chart.ts';
import { closedLoop } from '../closed-loop.ts';
import { CNN, type Curve, capacity, GPU_LIKE, MINILM_32, RESNET_50, runMs } from '../curves.ts';
import { SimulatedInstances } from '../instances.ts';
import { makeScheduler, warmUp } from '../model.ts';
import { PEERS, servePeer } from '../peers.ts';
import { answerMs, fatesText, goodput, inTimeShare, sentIn, serve } from '../scenario.ts';
import { VirtualClock } from '../virtual-clock.ts';

const BAR = 0.95;
const SETTLE_MS = 2_000;
const LOADS = [0.9, 1.2, 2, 20];

const LEAST_OBJECTIVE_MS = 250;

/** The default of `tensorgate.objective_ms`. */
export function defaultObjectiveMs(curve: Curve): number {
  return Math.max(LEAST_OBJECTIVE_MS, 10 * runMs(curve, 1));
}

async function run({ seeds, isShort }: RunOptions): Promise<CaseResult> {
  const measures: Measure[] = [];
  const rows: string[][] = [];
  const series: Series[] = [];
  for (const curve of isShort ? [CNN] : [CNN, RESNET_50, MINILM_32, GPU_LIKE]) {
    const objectiveMs = defaultObjectiveMs(curve);
    const spanMs =
      SETTLE_MS + (isShort ? 4_000 : capacity(curve) > 1 ? 5_000 : capacity(curve) < 0.1 ? 60_000 : 10_000);
    const line: [number, number][] = [];
    series.push({ name: curve.name, values: line });
    for (const load of LOADS) {
      const rate = load * capacity(curve);
      const arrivals = poisson(rate, Math.ceil(rate * spanMs), seeds[0] ?? 1);
      // The default, and set where it would depend on learned costs: answers are compared with the exact time.
      const setMs = objectiveMs > LEAST_OBJECTIVE_MS ? objectiveMs : undefined;
      const { replies } = await serve({ curve, arrivals, plan: () => ({ targetMs: objectiveMs }), objectiveMs: setMs });
      const possible = Math.min(1, load) * capacity(curve);
      const value = goodput(replies, SETTLE_MS, spanMs) / possible;
      const peers = Object.fromEntries(
        PEERS.map((rule) => {
          const latencies = servePeer(rule, arrivals, curve, { sloMs: objectiveMs, noise: 0.05, seed: 7 });
          const inTime = latencies.filter((ms, index) => {
            const answeredMs = (arrivals[index] ?? 0) + ms;
            return ms <= objectiveMs && answeredMs >= SETTLE_MS && answeredMs < spanMs;
          });
          return [rule.name, inTime.length / (spanMs - SETTLE_MS) / possible];
        }),
      );
      line.push([line.length, value]);
      const bar = load > 1 ? { atLeast: BAR } : undefined;
      measures.push({ name: `${curve.name} at ${load}x`, value, unit: 'ratio', bar, peers });
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
  const title = 'Answers within the objective, over the capacity';
  const labels = LOADS.map((load) => `${load}x`);
  return {
    measures,
    tables: [{ title, columns, rows }],
    charts: [{ title, x: 'load', y: 'goodput', kind: 'lines', series, labels }],
  };
}

/** perf_analyzer keeps so many requests in flight: none of them may be refused. */
async function closedLoopRefusals(curve: Curve, concurrency: number, spanMs: number): Promise<Measure> {
  using clock = new VirtualClock();
  const instances = new SimulatedInstances(clock, { cost: ({ rows }) => runMs(curve, rows), noise: 0.05 });
  const scheduler = makeScheduler({ maxRows: curve.maxRows }, instances);
  warmUp(scheduler, curve);
  const replies = closedLoop(clock, scheduler, { concurrency, untilMs: spanMs, comeBack: (now) => now }, {});
  await clock.run();
  const name = `${curve.name}, ${concurrency} in flight: not answered`;
  return { name, value: 1 - inTimeShare(replies), unit: 'share', bar: { atMost: 0 } };
}

export const NO_DEADLINE: Case = {
  name: 'no-deadline',
  title: 'Callers without deadlines',
  about: `Goodput within the objective (10 times the time of a batch of one, and at least 250 ms), over the capacity (over the offered rate where that is less), from ${percent(0.9, 0)} to 20 times the capacity.`,
  run,
};
