/** Callers in a closed loop, as load generators and pools of workers are: few of them must not split into small batches. */

import { type Case, type CaseResult, type Measure, mean, type RunOptions } from '../case.ts';
import { type ClosedLoop, closedLoop, closedLoopPeer, comesBackAtOnce } from '../closed-loop.ts';
import { CNN, type Curve, capacity, GPU_LIKE, MINILM_32, MLP_23MB, runMs } from '../curves.ts';
import { SimulatedInstances } from '../instances.ts';
import { makeScheduler, warmUp } from '../model.ts';
import { FIFO, PEERS } from '../peers.ts';
import { answerMs } from '../scenario.ts';
import { VirtualClock } from '../virtual-clock.ts';
import { defaultObjectiveMs } from './no-deadline.ts';

const IN_FLIGHT = [1, 2, 4, 8, 16, 64];
/** Callers that a rule which sends whatever waits splits into two groups, in batches of half the size. */
const isSplit = (concurrency: number): boolean => concurrency > 1 && concurrency <= 8;
const NOISE = 0.05;

async function run({ seeds, isShort }: RunOptions): Promise<CaseResult> {
  const rows: string[][] = [];
  const measures: Measure[] = [];
  const overFifo: number[] = [];
  const ofSplit: number[] = [];
  for (const curve of isShort ? [CNN, GPU_LIKE] : [CNN, MLP_23MB, MINILM_32, GPU_LIKE]) {
    for (const concurrency of IN_FLIGHT) {
      const { measure, row } = await serveCell(curve, concurrency, seeds[0] ?? 1, isShort ? 2_000 : 10_000);
      measures.push(measure);
      rows.push(row);
      const gain = measure.value / (measure.peers?.[FIFO.name] ?? Number.NaN);
      overFifo.push(gain);
      if (isSplit(concurrency)) ofSplit.push(gain);
    }
  }
  const columns = ['curve', 'in flight', 'answers/s', 'rows a batch', 'p50', 'p99'];
  return {
    measures: [
      ...measures,
      { name: 'least over FIFO', value: Math.min(...overFifo), unit: 'ratio', bar: { atLeast: 0.99 } },
      { name: 'mean over FIFO, 2 to 8 in flight', value: mean(ofSplit), unit: 'ratio', bar: { atLeast: 1.15 } },
    ],
    tables: [{ title: 'Clients that come back at once', columns, rows }],
  };
}

async function serveCell(
  curve: Curve,
  concurrency: number,
  seed: number,
  untilMs: number,
): Promise<{ measure: Measure; row: string[] }> {
  using clock = new VirtualClock();
  const instances = new SimulatedInstances(clock, { cost: ({ rows }) => runMs(curve, rows), noise: NOISE, seed });
  const scheduler = makeScheduler({ maxRows: curve.maxRows }, instances);
  warmUp(scheduler, curve);
  const loop = (): ClosedLoop => ({ concurrency, untilMs, comeBack: comesBackAtOnce(seed) });
  const replies = closedLoop(clock, scheduler, loop(), {});
  await clock.run();
  const share = (answered: number): number => answered / untilMs / capacity(curve);
  const peers = Object.fromEntries(
    PEERS.map((rule) => [rule.name, share(closedLoopPeer(rule, curve, loop(), NOISE, defaultObjectiveMs(curve)))]),
  );
  const name = `${curve.name}, ${concurrency} in flight`;
  const answered = replies.filter(({ fate }) => fate === 'in_time').length;
  const ms = (quantile: number): string => `${answerMs(replies, quantile).toFixed(2)} ms`;
  return {
    measure: { name, value: share(answered), unit: 'ratio', peers },
    row: [
      curve.name,
      `${concurrency}`,
      ((answered * 1_000) / untilMs).toFixed(0),
      instances.meanRows.toFixed(2),
      ms(0.5),
      ms(0.99),
    ],
  };
}

export const CLOSED_LOOP: Case = {
  name: 'closed-loop',
  title: 'Callers in a closed loop',
  about:
    'Answers over the capacity, where so many clients send their next request as soon as they have an answer. A server that sends whatever waits when a batch has ended splits them into alternating small batches.',
  run,
};
