/** What the scheduler has to learn while it serves: the cost of a model, that it has changed, and what large requests do. */

import { poisson } from '../arrivals.ts';
import { type Case, type CaseResult, type Measure, percent, type RunOptions } from '../case.ts';
import type { Chart } from '../chart.ts';
import { CNN, type Curve, capacity, GPU_LIKE, RESNET_50, runMs } from '../curves.ts';
import { ONE_SHAPE, tensorsOf } from '../model.ts';
import { seeded } from '../random.ts';
import { fatesText, goodput, inTimeShare, sentIn, serve } from '../scenario.ts';

const COLUMNS = ['case', 'value', 'others'];

/** Nothing is known of the model: no warm-up. */
async function coldStarts(isShort: boolean, seed: number): Promise<Measure[]> {
  const measures: Measure[] = [];
  for (const curve of isShort ? [CNN] : [CNN, GPU_LIKE, RESNET_50]) {
    for (const load of isShort ? [1.5] : [0.5, 0.9, 1.5]) {
      const spanMs = 200 * runMs(curve, 1) + 20 * curve.sloMs;
      const rate = load * capacity(curve);
      const arrivals = poisson(rate, Math.ceil(rate * spanMs), seed);
      const scenario = { curve, arrivals, plan: () => ({ deadlineMs: curve.sloMs }) };
      const cold = inTimeShare((await serve({ ...scenario, isWarm: false })).replies);
      const warm = inTimeShare((await serve(scenario)).replies);
      measures.push({ name: `${curve.name} at ${load}x, cold over warm`, value: cold / warm, unit: 'ratio' });
    }
  }
  return measures;
}

/** The model takes `factor` times as long for a third of the time. */
async function drift(factor: number, deadlineMs: number, seed: number): Promise<{ measures: Measure[]; chart: Chart }> {
  const curve = CNN;
  const [from, to, end] = [10_000, 20_000, 30_000];
  const load = 0.5;
  const rate = load * capacity(curve);
  const { replies } = await serve({
    curve,
    arrivals: poisson(rate, Math.ceil(rate * end), seed),
    plan: () => ({ deadlineMs }),
    cost: ({ rows }, now) => runMs(curve, rows) * (now >= from && now < to ? factor : 1),
  });
  const possible = Math.min(1, 1 / (factor * load));
  const name = `${curve.name}, ${deadlineMs} ms, ${factor} x slower for 10 s`;
  const during = inTimeShare(replies, sentIn(from + 1_000, to)) / possible;
  const after = inTimeShare(replies, sentIn(to + 500, end));
  const seconds = Array.from({ length: end / 1_000 }, (_, second) => second);
  const values = seconds.map((second): [number, number] => [
    second,
    inTimeShare(replies, sentIn(second * 1_000, (second + 1) * 1_000)),
  ]);
  return {
    measures: [
      { name: `${name}: in time over possible`, value: during, unit: 'ratio' },
      { name: `${name}: in time afterwards`, value: after, unit: 'share' },
    ],
    chart: { title: name, x: 'seconds', y: 'share in time', kind: 'lines', series: [{ name: 'in time', values }] },
  };
}

/** Some requests bring many rows: they must not be refused only for the sake of the others. */
async function manyRows(
  large: number,
  part: number,
  load: number,
  seed: number,
): Promise<{ measure: Measure; row: string[] }> {
  const curve: Curve = CNN;
  const rate = (load * capacity(curve)) / (1 + part * (large - 1));
  const spanMs = 8_000;
  const arrivals = poisson(rate, Math.ceil(rate * spanMs), seed);
  const random = seeded(seed);
  const isLarge = Array.from(arrivals, () => random() < part);
  const [one, many] = [1, large].map((rows) => tensorsOf({ shape: ONE_SHAPE, rows }));
  const { replies } = await serve({
    curve,
    arrivals,
    plan: (index) => ({
      deadlineMs: curve.sloMs,
      tensors: isLarge[index] === true ? many : one,
      label: isLarge[index] === true ? 'large' : 'one',
    }),
  });
  const name = `${percent(part, 0)} of the requests with ${large} rows at ${load}x`;
  const value = goodput(replies, 1_000, spanMs) / capacity(curve) / Math.min(1, load);
  const share = (label: string): string => percent(inTimeShare(replies, (reply) => reply.label === label));
  return {
    measure: { name: `${name}: rows in time over possible`, value, unit: 'ratio' },
    row: [name, `one row ${share('one')}, ${large} rows ${share('large')}`, fatesText(replies)],
  };
}

async function run({ seeds, isShort }: RunOptions): Promise<CaseResult> {
  const seed = seeds[0] ?? 1;
  const measures = await coldStarts(isShort, seed);
  const charts: Chart[] = [];
  for (const [factor, deadlineMs] of isShort
    ? [[3, 20] as const]
    : ([
        [3, 100],
        [3, 20],
        [10, 20],
        [1.5, 10],
      ] as const)) {
    const found = await drift(factor, deadlineMs, seed);
    measures.push(...found.measures);
    charts.push(found.chart);
  }
  const rows: string[][] = [];
  for (const [large, part] of isShort
    ? [[8, 0.1] as const]
    : ([
        [8, 0.1],
        [32, 0.1],
        [64, 0.05],
      ] as const)) {
    for (const load of isShort ? [1.2] : [0.9, 1.2]) {
      const { measure, row } = await manyRows(large, part, load, seed);
      measures.push(measure);
      rows.push(row);
    }
  }
  return { measures, tables: [{ title: 'Requests of many rows', columns: COLUMNS, rows }], charts };
}

export const ADAPTATION: Case = {
  name: 'adaptation',
  title: 'What is learned while serving',
  about:
    'A model of which nothing is known, over one that was warmed up; a model that becomes slower and faster again; requests of ' +
    'many rows among requests of one.',
  run,
};
