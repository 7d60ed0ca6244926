/** Callers with short deadlines beside callers with long ones, or none, on an overloaded model. */

import { poisson } from '../arrivals.ts';
import { type Case, type CaseResult, type Measure, percent, type RunOptions } from '../case.ts';
import { CNN, type Curve, capacity, GPU_LIKE } from '../curves.ts';
import { fairShares } from '../fair-share.ts';
import { answerMs, goodput, inTimeShare, merge, type ReplyFilter, sentIn, serve } from '../scenario.ts';
import { serveTriton } from '../triton.ts';

const BAR = 0.8;
const SETTLE_MS = 2_000;

/** A class of callers: its deadline, and its part of the requests. */
interface DeadlineClass {
  readonly deadlineMs: number | undefined;
  readonly part: number;
}

interface Mix {
  readonly curve: Curve;
  readonly classes: readonly DeadlineClass[];
}

function half(curve: Curve, ...deadlines: readonly (number | undefined)[]): Mix {
  return { curve, classes: deadlines.map((deadlineMs) => ({ deadlineMs, part: 1 / deadlines.length })) };
}

const MIXES: readonly Mix[] = [
  half(CNN, 100, 300),
  half(CNN, 100, undefined),
  half(CNN, 50, 1_000),
  half(CNN, 30, undefined),
  half(CNN, 1_000, 5_000),
  half(CNN, 50, 200, undefined),
  {
    curve: CNN,
    classes: [
      { deadlineMs: 100, part: 0.2 },
      { deadlineMs: undefined, part: 0.8 },
    ],
  },
  {
    curve: CNN,
    classes: [
      { deadlineMs: 100, part: 0.8 },
      { deadlineMs: 2_000, part: 0.2 },
    ],
  },
  half(GPU_LIKE, 25, 100),
  half(GPU_LIKE, 25, undefined),
];

async function run({ seeds, isShort }: RunOptions): Promise<CaseResult> {
  const measures: Measure[] = [];
  const rows: string[][] = [];
  for (const mix of isShort ? MIXES.slice(0, 3) : MIXES) {
    const { curve, classes } = mix;
    const spanMs = SETTLE_MS + (isShort ? 3_000 : capacity(curve) > 1 ? 4_000 : 8_000);
    let least = Number.POSITIVE_INFINITY;
    let leastTriton = Number.POSITIVE_INFINITY;
    for (const load of isShort ? [2] : [1.1, 1.5, 2, 4]) {
      const streams = classes.map(({ deadlineMs, part }, index) => {
        const rate = load * part * capacity(curve);
        const arrivals = poisson(rate, Math.ceil(rate * spanMs), (seeds[0] ?? 1) + 10 * index);
        return { arrivals, plan: { deadlineMs, label: nameOf(deadlineMs) } };
      });
      const requests = merge(streams);
      const { replies } = await serve({ curve, ...requests });
      const triton = serveTriton(curve, requests, 0.05);
      const asked = classes.map(({ part }) => load * part);
      const fair = fairShares(1, asked);
      for (const [index, { deadlineMs }] of classes.entries()) {
        const label = nameOf(deadlineMs);
        const own: ReplyFilter = (reply) => reply.label === label && sentIn(SETTLE_MS, spanMs)(reply);
        const got = goodput(replies, SETTLE_MS, spanMs, own) / capacity(curve);
        const ratio = got / (fair[index] ?? 1);
        least = Math.min(least, ratio);
        const theirs = triton.filter((isInTime, request) => {
          const arrival = requests.arrivals[request] ?? 0;
          return isInTime && requests.plan(request).label === label && arrival >= SETTLE_MS && arrival < spanMs;
        });
        leastTriton = Math.min(
          leastTriton,
          theirs.length / (spanMs - SETTLE_MS) / capacity(curve) / (fair[index] ?? 1),
        );
        rows.push([
          titleOf(mix),
          `${load}x`,
          label,
          percent(inTimeShare(replies, own)),
          ratio.toFixed(2),
          `${answerMs(replies, 0.99, own).toFixed(0)} ms`,
        ]);
      }
    }
    const peers = { Triton: leastTriton };
    measures.push({ name: titleOf(mix), value: least, unit: 'ratio', bar: { atLeast: BAR }, peers });
  }
  const columns = ['classes', 'load', 'class', 'in time', 'of its fair share', 'p99'];
  return { measures, tables: [{ title: 'Class by class', columns, rows }] };
}

function nameOf(deadlineMs: number | undefined): string {
  return deadlineMs === undefined ? 'no deadline' : `${deadlineMs} ms`;
}

function titleOf({ curve, classes }: Mix): string {
  const isEven = classes.every(({ part }) => part === classes[0]?.part);
  const parts = classes.map(({ deadlineMs, part }) => `${isEven ? '' : `${percent(part, 0)} `}${nameOf(deadlineMs)}`);
  return `${curve.name}: ${parts.join(' + ')}`;
}

export const MIXED_DEADLINES: Case = {
  name: 'mixed-deadlines',
  title: 'Short deadlines beside long ones',
  about:
    'For each mix the least that a class gets of its fair share, over all loads. A fair share is an equal part of the ' +
    'capacity among the classes that ask, never more than a class asks for.',
  run,
};
