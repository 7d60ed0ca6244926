/** Callers with short deadlines beside callers with long ones, or none, on an overloaded model. */

import { poisson } from '../arrivals.ts';
import { type Case, type CaseResult, type Measure, percent, type RunOptions } from '../case.ts';
import { CNN, type Curve, capacity, GPU_LIKE, runMs } from '../curves.ts';
import { fairShares } from '../fair-share.ts';
import { seeded } from '../random.ts';
import { answerMs, goodput, inTimeShare, merge, type ReplyFilter, sentIn, serve } from '../scenario.ts';
import { serveTriton } from '../triton.ts';

const BAR = 0.8;

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

/** Two or three classes at random. Deadlines leave time for a batch of the largest size, and are some times apart. */
function randomMix(seed: number): Mix {
  const random = seeded(seed);
  const curve = random() < 0.7 ? CNN : GPU_LIKE;
  const count = random() < 0.6 ? 2 : 3;
  const isLastOpen = random() < 0.4;
  let deadlineMs = 2 * runMs(curve, curve.maxRows) * (1 + random());
  const classes = Array.from({ length: count }, (_, index): DeadlineClass => {
    const own = isLastOpen && index === count - 1 ? undefined : Math.round(deadlineMs);
    deadlineMs *= 2.5 * 3 ** random();
    return { deadlineMs: own, part: 0.2 + random() };
  });
  const sum = classes.reduce((total, { part }) => total + part, 0);
  return { curve, classes: classes.map(({ deadlineMs: own, part }) => ({ deadlineMs: own, part: part / sum })) };
}

/** What a class gets of its fair share, here and from Triton's rule. */
interface ClassResult {
  readonly label: string;
  readonly ratio: number;
  readonly triton: number;
  readonly inTime: number;
  readonly p99Ms: number;
}

async function run({ seeds, isShort }: RunOptions): Promise<CaseResult> {
  const measures: Measure[] = [];
  const rows: string[][] = [];
  const seed = seeds[0] ?? 1;
  const random = Array.from({ length: isShort ? 4 : 12 }, (_, index) => randomMix(100 * seed + index));
  for (const mix of [...MIXES, ...random]) {
    const results: ClassResult[] = [];
    for (const load of isShort ? [2] : [1.1, 1.5, 2, 4]) {
      const classes = await serveMix(mix, load, isShort, seed);
      results.push(...classes);
      for (const { label, inTime, ratio, p99Ms } of classes) {
        rows.push([titleOf(mix), `${load}x`, label, percent(inTime), ratio.toFixed(2), `${p99Ms.toFixed(0)} ms`]);
      }
    }
    const value = Math.min(...results.map(({ ratio }) => ratio));
    const peers = { Triton: Math.min(...results.map(({ triton }) => triton)) };
    measures.push({ name: titleOf(mix), value, unit: 'ratio', bar: { atLeast: BAR }, peers });
  }
  const columns = ['classes', 'load', 'class', 'in time', 'of its fair share', 'p99'];
  return { measures, tables: [{ title: 'Class by class', columns, rows }] };
}

async function serveMix({ curve, classes }: Mix, load: number, isShort: boolean, seed: number): Promise<ClassResult[]> {
  // Until then the longest deadline keeps the queue from being in balance.
  const fromMs = 1_000 + 1.5 * Math.max(...classes.map(({ deadlineMs = 0 }) => deadlineMs));
  const toMs = fromMs + (isShort ? 2_000 : capacity(curve) > 1 ? 3_000 : 6_000);
  const labels = classes.map(({ deadlineMs }, index) => `${index + 1}: ${nameOf(deadlineMs)}`);
  const requests = merge(
    classes.map(({ deadlineMs, part }, index) => {
      const rate = load * part * capacity(curve);
      const arrivals = poisson(rate, Math.ceil(rate * toMs), seed + 10 * index);
      return { arrivals, plan: { deadlineMs, label: labels[index] ?? '' } };
    }),
  );
  const { replies } = await serve({ curve, ...requests });
  const triton = serveTriton(curve, requests, 0.05);
  const fair = fairShares(
    capacity(curve),
    classes.map(({ part }) => load * part * capacity(curve)),
  );
  return labels.map((label, index) => {
    const isOwn: ReplyFilter = (reply) => reply.label === label;
    const isCounted: ReplyFilter = (reply) => isOwn(reply) && sentIn(fromMs, toMs)(reply);
    const share = fair[index] ?? 1;
    return {
      label,
      ratio: goodput(replies, fromMs, toMs, isOwn) / share,
      triton: goodput(triton, fromMs, toMs, isOwn) / share,
      inTime: inTimeShare(replies, isCounted),
      p99Ms: answerMs(replies, 0.99, isCounted),
    };
  });
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
