/** Deadline neutrality: whatever happened before, a caller never does worse by naming its deadline. */

import { poisson } from '../arrivals.ts';
import { type Case, type CaseResult, percent, type RunOptions } from '../case.ts';
import { CNN, type Curve, capacity, GPU_LIKE, MINILM_32, MLP_23MB, RESNET_50, runMs } from '../curves.ts';
import { type Disturbance, disturbedMs, stall } from '../disturbance.ts';
import { exponential, type Random, seeded } from '../random.ts';
import { inTimeShare, merge, type ReplyFilter, type Stream, sentIn, serve } from '../scenario.ts';

/** Points that naming the deadline may cost. */
const BAR = 2;
/** Requests in a history: two points of them are ten times the binomial error of a difference that is made by chance. */
const REQUESTS = 3_000;

export interface History {
  readonly name: string;
  readonly curve: Curve;
  readonly deadlineMs: number;
  readonly streams: readonly Stream[];
  readonly disturbances: readonly Disturbance[];
  /** Share of the runs that take longer, and how many times. */
  readonly tail: { readonly share: number; readonly factor: number };
}

function pick<Value>(random: Random, first: Value, ...others: readonly Value[]): Value {
  return others[Math.floor(random() * (others.length + 1)) - 1] ?? first;
}

/** Stalls, slow spans and bursts at random, over callers of one model that all have the same deadline. */
function randomHistory(seed: number): History {
  const random = seeded(seed);
  const curve = pick(random, CNN, RESNET_50, MINILM_32, MLP_23MB, GPU_LIKE);
  const alone = runMs(curve, 1);
  const deadlineMs = pick(random, 2.2, 3, 4, 6, 10, 30) * alone;
  const load = pick(random, 0.02, 0.1, 0.3, 0.6, 0.8);
  const rate = load * capacity(curve);
  const spanMs = REQUESTS / rate;
  const disturbances: Disturbance[] = [];
  for (let now = (0.1 + 0.2 * random()) * spanMs; ; ) {
    const lengthMs = pick(random, 2, 10, 30, 200) * alone * (0.5 + random());
    const slowdown = pick(random, 1.5, 2, 3, 10);
    disturbances.push(
      random() < 0.5 ? stall(now, Math.min(lengthMs, 2_000)) : { fromMs: now, toMs: now + lengthMs, slowdown },
    );
    now += lengthMs + exponential(random) * 0.15 * spanMs;
    if (now > 0.9 * spanMs) break;
  }
  const steady = { arrivals: poisson(rate, REQUESTS, seed), plan: { deadlineMs } };
  const bursts = Array.from({ length: pick(random, 0, 1, 3) }, (_, index): Stream => {
    const from = random() * spanMs;
    const arrivals = poisson(4 * capacity(curve), Math.ceil(REQUESTS * 0.03), seed + index + 1).map(
      (time) => from + time,
    );
    return { arrivals, plan: { deadlineMs, label: 'burst' } };
  });
  const name = `${seed}: ${curve.name}, ${deadlineMs.toFixed(1)} ms, load ${load}, ${disturbances.length} troubles, ${bursts.length} bursts`;
  return { name, curve, deadlineMs, streams: [steady, ...bursts], disturbances, tail: { share: 0, factor: 1 } };
}

/** A machine on which some runs take much longer than others. */
function heavyTail(curve: Curve, share: number, factor: number, deadlineMs: number, load: number): History {
  const rate = (load * capacity(curve)) / (1 + share * (factor - 1));
  const name = `${curve.name}, ${percent(share, 0)} of the runs ${factor} x longer, ${deadlineMs.toFixed(1)} ms, load ${load}`;
  const steady = {
    arrivals: poisson(rate, Math.min(20_000, Math.max(REQUESTS, Math.ceil(rate * 8_000))), 3),
    plan: { deadlineMs },
  };
  return { name, curve, deadlineMs, streams: [steady], disturbances: [], tail: { share, factor } };
}

const HEAVY_TAILS = [
  [0.02, 10],
  [0.05, 10],
  [0.1, 5],
  [0.2, 3],
].flatMap(([share = 0, factor = 1]) =>
  [10, 30, 100].flatMap((times) =>
    [0.02, 0.5, 0.9].map((load) => heavyTail(CNN, share, factor, times * runMs(CNN, 1), load)),
  ),
);

interface Answered {
  readonly named: number;
  readonly unnamed: number;
}

/** Shares answered within the deadline where callers name it, and where they do not. */
async function measure(history: History): Promise<Answered> {
  const { streams, deadlineMs } = history;
  const unnamed = streams.map(({ arrivals, plan }) => ({
    arrivals,
    plan: { ...plan, deadlineMs: undefined, targetMs: deadlineMs },
  }));
  return { named: await shareOf(history, streams), unnamed: await shareOf(history, unnamed) };
}

async function shareOf({ curve, disturbances, tail }: History, streams: readonly Stream[]): Promise<number> {
  const random = seeded(5);
  const { replies } = await serve({
    curve,
    ...merge(streams),
    noise: 0.03,
    cost: ({ rows }, now) => {
      const factor = random() < tail.share ? tail.factor : 1;
      return disturbedMs(runMs(curve, rows) * factor, now, disturbances);
    },
  });
  const counted: ReplyFilter = (reply) => reply.label !== 'burst' && sentIn(0)(reply);
  return inTimeShare(replies, counted);
}

async function compare(histories: readonly History[]): Promise<CaseResult> {
  const rows: string[][] = [];
  let worst = Number.NEGATIVE_INFINITY;
  let gain = 0;
  for (const history of histories) {
    const { named, unnamed } = await measure(history);
    worst = Math.max(worst, 100 * (unnamed - named));
    gain += (100 * (named - unnamed)) / histories.length;
    rows.push([history.name, percent(named), percent(unnamed), (100 * (named - unnamed)).toFixed(1)]);
  }
  const columns = ['history', 'named', 'not named', 'points'];
  return {
    measures: [
      {
        name: 'most that naming the deadline costs in a history',
        value: worst,
        unit: 'points',
        bar: { atMost: BAR },
      },
      { name: 'mean gain of naming it', value: gain, unit: 'points' },
    ],
    tables: [{ title: 'Answered within the deadline', columns, rows }],
  };
}

export const NEUTRALITY: Case = {
  name: 'neutrality',
  title: 'Deadline neutrality after random histories',
  about:
    'Random histories of stalls, slow spans and bursts, served twice: callers name their deadline, or they do not. The share ' +
    'that is answered within it must not be less by more than 2 points where they do.',
  run: ({ seeds, isShort }: RunOptions) =>
    compare(
      seeds
        .slice(0, isShort ? 1 : undefined)
        .flatMap((seed) => Array.from({ length: 24 }, (_, index) => randomHistory(1_000 * seed + index))),
    ),
};

export const HEAVY_TAIL: Case = {
  name: 'heavy-tail',
  title: 'Runs with heavy tails',
  about: 'Some runs take 3 to 10 times as long as others. Served twice: callers name their deadline, or they do not.',
  run: ({ isShort }: RunOptions) => compare(isShort ? HEAVY_TAILS.filter((_, index) => index % 2 === 1) : HEAVY_TAILS),
};
