/** After stalls and slow spans a version must answer again at once, although its predictions were right a moment ago. */

import { poisson } from '../arrivals.ts';
import { type Case, type CaseResult, type Measure, percent, type RunOptions } from '../case.ts';
import type { Chart } from '../chart.ts';
import { CNN, type Curve, RESNET_50, runMs } from '../curves.ts';
import { type Disturbance, disturbedMs, stall } from '../disturbance.ts';
import { inTimeShare, type Outcome, sentIn, serve } from '../scenario.ts';

/** Requests after a disturbance in which a version has to find out that it is over. */
const GRACE_REQUESTS = 12;
const BAR = 0.95;
const BEGIN_MS = 10_000;

interface Trouble {
  readonly name: string;
  readonly curve: Curve;
  readonly deadlineMs: number;
  readonly perSecond: number;
  readonly disturbances: readonly Disturbance[];
}

function stalls(
  curve: Curve,
  deadlineMs: number,
  perSecond: number,
  lengthMs: number,
  ...times: readonly number[]
): Trouble {
  const name = `${curve.name}, ${deadlineMs} ms, ${perSecond}/s, ${times.length} x ${lengthMs} ms stalled`;
  const disturbances = times.map((time) => stall(BEGIN_MS + time, lengthMs));
  return { name, curve, deadlineMs, perSecond, disturbances };
}

function slower(curve: Curve, deadlineMs: number, perSecond: number, slowdown: number, lengthMs: number): Trouble {
  const name = `${curve.name}, ${deadlineMs} ms, ${perSecond}/s, ${slowdown} x slower for ${lengthMs / 1000} s`;
  const disturbances = [{ fromMs: BEGIN_MS, toMs: BEGIN_MS + lengthMs, slowdown }];
  return { name, curve, deadlineMs, perSecond, disturbances };
}

const TROUBLES: readonly Trouble[] = [
  stalls(RESNET_50, 100, 5, 1_000, 0),
  stalls(RESNET_50, 100, 5, 1_000, 0, 2_000),
  stalls(RESNET_50, 100, 5, 1_000, 0, 2_000, 4_000),
  stalls(RESNET_50, 150, 5, 1_000, 0, 1_200, 2_400),
  stalls(RESNET_50, 109, 10, 600, 0, 1_500),
  stalls(CNN, 2, 50, 50, 0),
  stalls(CNN, 3, 50, 50, 0, 50),
  stalls(CNN, 5, 20, 50, 0, 200, 400, 600),
  stalls(CNN, 5, 100, 300, 0, 1_000, 2_000),
  stalls(CNN, 5, 5, 300, 0, 1_000, 2_000),
  stalls(CNN, 20, 100, 300, 0, 1_000, 2_000, 3_000, 4_000, 5_000, 6_000, 7_000),
  slower(RESNET_50, 100, 5, 2, 2_000),
  slower(CNN, 4, 100, 3, 2_000),
  slower(CNN, 20, 50, 10, 30_000),
  slower(CNN, 8, 50, 10, 2_000),
  slower(CNN, 3, 50, 10, 60_000),
];

async function run({ seeds }: RunOptions): Promise<CaseResult> {
  const measures: Measure[] = [];
  const rows: string[][] = [];
  const charts: Chart[] = [];
  for (const trouble of TROUBLES) {
    const end = Math.max(...trouble.disturbances.map(({ toMs }) => toMs));
    const arrivals = poisson(
      trouble.perSecond / 1000,
      Math.ceil((trouble.perSecond * (end + 30_000)) / 1000),
      seeds[0] ?? 1,
    );
    const disturbed = await serveTrouble(trouble, arrivals, trouble.disturbances, true);
    const unnamed = await serveTrouble(trouble, arrivals, trouble.disturbances, false);
    const quiet = await serveTrouble(trouble, arrivals, [], true);
    const after = arrivals.find((time) => time > end) ?? end;
    const settled = arrivals[arrivals.indexOf(after) + GRACE_REQUESTS] ?? end;
    const answerable = inTimeShare(quiet.replies, sentIn(settled));
    const value = inTimeShare(disturbed.replies, sentIn(settled)) / answerable;
    const peers = { 'deadline not named': inTimeShare(unnamed.replies, sentIn(settled)) / answerable };
    measures.push({ name: trouble.name, value, unit: 'share', bar: { atLeast: BAR }, peers });
    if (charts.length < 3) charts.push(timeline(trouble.name, disturbed, unnamed, end + 20_000));
    const share = (from: number, to: number): string => percent(inTimeShare(disturbed.replies, sentIn(from, to)), 0);
    rows.push([
      trouble.name,
      share(5_000, BEGIN_MS),
      share(BEGIN_MS, end),
      share(end, settled),
      share(settled, settled + 5_000),
      share(settled + 5_000, Number.POSITIVE_INFINITY),
      percent(answerable, 0),
    ]);
  }
  const columns = [
    'trouble',
    'before',
    'during',
    `next ${GRACE_REQUESTS} requests`,
    'then 5 s',
    'later',
    'without trouble',
  ];
  return { measures, tables: [{ title: 'Answered in time', columns, rows }], charts };
}

function serveTrouble(
  { curve, deadlineMs }: Trouble,
  arrivals: Float64Array,
  disturbances: readonly Disturbance[],
  isNamed: boolean,
): Promise<Outcome> {
  return serve({
    curve,
    arrivals,
    plan: () => (isNamed ? { deadlineMs } : { targetMs: deadlineMs }),
    noise: 0.03,
    cost: ({ rows }, now) => disturbedMs(runMs(curve, rows), now, disturbances),
  });
}

/** Share in time, two seconds by two seconds. */
function timeline(title: string, named: Outcome, unnamed: Outcome, untilMs: number): Chart {
  const steps = Array.from({ length: Math.floor(untilMs / 2_000) }, (_, index) => index * 2_000);
  const series = [
    { name: 'deadline named', replies: named.replies },
    { name: 'not named', replies: unnamed.replies },
  ].map(({ name, replies }) => ({
    name,
    values: steps.map((from): [number, number] => [from / 1_000, inTimeShare(replies, sentIn(from, from + 2_000))]),
  }));
  return { title, x: 'seconds; the trouble begins at 10', y: 'share in time', kind: 'lines', series };
}

export const LOCK_OUT: Case = {
  name: 'lock-out',
  title: 'After stalls and slow spans',
  about:
    `Of the requests that a machine without the trouble answers in time, the share that is answered in time, from the ` +
    `${GRACE_REQUESTS}th request after the trouble on.`,
  run,
};
