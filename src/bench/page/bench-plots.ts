/** The plots of a benchmark, as SVG that takes its colours from the page. */

import { axes, BOTTOM, figure, LEFT, RIGHT, TOP } from '../../compare/page/figure.ts';
import { milliseconds } from '../../compare/page/format.ts';
import { type Markup, markup } from '../../compare/page/markup.ts';
import { linearScale, logScale, type Scale, spreadOut } from '../../compare/page/scale.ts';
import type { BenchResult, LevelResult } from '../result.ts';
import { nameOf } from '../verdict.ts';

/** Where lines end, and their names begin. */
const LINES_END = RIGHT - 92;
const MAX_LOG_LEVELS = 10;
/** Labels of an axis that are nearer would touch. */
const TICK_PX = 34;

/** Load of a level: calls a second, or calls under way. */
function loadOf({ ratePerS, concurrency }: LevelResult): number {
  return ratePerS ?? concurrency ?? 0;
}

export function loadTitle({ arrivals }: BenchResult): string {
  return arrivals === null ? 'calls under way' : 'calls a second, sent';
}

function loadScale(levels: readonly LevelResult[]): Scale {
  const loads = levels.map(loadOf);
  const range = [LEFT + 16, LINES_END] as const;
  if (levels.length > MAX_LOG_LEVELS) return linearScale(loads, range);
  const scale = logScale(loads, range);
  const ticks: number[] = [];
  for (const load of loads.toReversed()) {
    const next = ticks[0];
    if (next === undefined || scale(next) - scale(load) >= TICK_PX) ticks.unshift(load);
  }
  return Object.assign((value: number) => scale(value), { ticks });
}

/** Steps of 1, 2 and 5 around the values, at equal distances for equal factors. */
function timeScale(values: readonly number[]): Scale {
  const least = Math.max(1e-3, Math.min(...values));
  const greatest = Math.max(...values, least * 2);
  const ticks: number[] = [];
  for (let power = Math.floor(Math.log10(least)); 10 ** power <= greatest * 10; power++) {
    ticks.push(...[1, 2, 5].map((factor) => Number((factor * 10 ** power).toPrecision(1))));
  }
  const from = ticks.findLastIndex((tick) => tick <= least);
  const to = ticks.findIndex((tick) => tick >= greatest);
  return logScale(ticks.slice(Math.max(0, from), to + 1), [BOTTOM, TOP]);
}

interface Line {
  readonly name: string;
  /** Its place in the palette. */
  readonly colour: number;
  readonly of: (level: LevelResult) => number | null | undefined;
}

interface Point {
  readonly level: LevelResult;
  readonly value: number;
}

/** Points of levels that follow each other: a line bridges no level without a value. */
function unbroken(levels: readonly LevelResult[], points: readonly Point[]): Point[][] {
  const parts: Point[][] = [];
  for (const point of points) {
    const last = parts.at(-1)?.at(-1);
    const follows = last !== undefined && levels.indexOf(point.level) === levels.indexOf(last.level) + 1;
    if (follows) parts.at(-1)?.push(point);
    else parts.push([point]);
  }
  return parts;
}

/** A value of each level, where it has one, with the name of the line at its end. */
function lines(levels: readonly LevelResult[], drawn: readonly Line[], x: Scale, y: Scale, unit: string): Markup {
  const known = drawn.map((line) => ({
    ...line,
    points: levels.flatMap((level) => {
      const value = line.of(level);
      return value === null || value === undefined ? [] : [{ level, value }];
    }),
  }));
  const labels = spreadOut(
    known.map(({ points }) => y(points.at(-1)?.value ?? 1)),
    15,
  );
  return markup`${known.map(({ name, colour, points }, at) => {
    const last = points.at(-1);
    if (last === undefined) return markup``;
    return markup`<g class="c${colour}">${unbroken(levels, points).map((part) => {
      const path = part.map(({ level, value }) => `${x(loadOf(level)).toFixed(1)},${y(value).toFixed(1)}`);
      return markup`<polyline class="line" points="${path.join(' ')}"/>`;
    })}
    ${points.map(({ level, value }) => markup`<circle class="dot" cx="${x(loadOf(level))}" cy="${y(value)}" r="3.5"><title>${nameOf(level)}: ${name} ${Number(value.toPrecision(3))}${unit}</title></circle>`)}
    <text class="label" x="${x(loadOf(last.level)) + 9}" y="${(labels[at] ?? 0) + 4}">${name}</text></g>`;
  })}`;
}

const LATENCIES: readonly Line[] = [
  { name: 'p99', colour: 2, of: ({ latencyMs }) => latencyMs?.p99 },
  { name: 'p90', colour: 5, of: ({ latencyMs }) => latencyMs?.p90 },
  { name: 'p50', colour: 1, of: ({ latencyMs }) => latencyMs?.p50 },
];

export function latencyOverLoad(result: BenchResult): Markup {
  const { levels, slo } = result;
  const values = levels.flatMap(({ latencyMs }) => (latencyMs === null ? [] : [latencyMs.p50, latencyMs.p99]));
  if (values.length === 0) return markup``;
  const x = loadScale(levels);
  const y = timeScale(slo === null ? values : [...values, slo.ms]);
  return figure(
    'Latency over load',
    markup`${axes(x, y, loadTitle(result), 'latency, ms')}
    ${slo !== null && markup`<line class="range" x1="${LEFT}" x2="${RIGHT}" y1="${y(slo.ms)}" y2="${y(slo.ms)}"/><text class="tick" x="${LEFT + 6}" y="${y(slo.ms) - 6}">objective ${milliseconds(slo.ms)}</text>`}
    ${lines(levels, LATENCIES, x, y, ' ms')}`,
  );
}

const ANSWERS: readonly Line[] = [
  { name: 'sent', colour: 0, of: ({ ratePerS }) => ratePerS },
  { name: 'answered', colour: 1, of: ({ answeredPerS }) => answeredPerS },
  { name: 'in time', colour: 3, of: ({ goodputPerS }) => goodputPerS },
];

export function answersOverLoad(result: BenchResult): Markup {
  const { levels } = result;
  const x = loadScale(levels);
  const values = levels.flatMap(({ answeredPerS, ratePerS = 0 }) => [answeredPerS, ratePerS]);
  const y = linearScale([0, ...values], [BOTTOM, TOP]);
  return figure(
    'Answers over load',
    markup`${axes(x, y, loadTitle(result), 'calls a second')}${lines(levels, ANSWERS, x, y, ' a second')}`,
  );
}

const ROWS: readonly Line[] = [{ name: 'rows', colour: 4, of: ({ server }) => server?.rowsPerBatch }];

export function batchesOverLoad(result: BenchResult): Markup {
  const { levels } = result;
  const rows = levels.flatMap(({ server }) => server?.rowsPerBatch ?? []);
  if (rows.length === 0) return markup``;
  const x = loadScale(levels);
  const y = linearScale([0, ...rows], [BOTTOM, TOP]);
  return figure(
    'Batch size over load',
    markup`${axes(x, y, loadTitle(result), 'rows in a batch, mean')}${lines(levels, ROWS, x, y, ' rows')}`,
  );
}

type Stages = NonNullable<LevelResult['server']>;

/** Stages of a request in the server, in their order. */
export const STAGES = [
  { name: 'queue', colour: 2, of: ({ queueMs }: Stages) => queueMs },
  { name: 'input', colour: 5, of: ({ inputMs }: Stages) => inputMs },
  { name: 'run', colour: 1, of: ({ inferMs }: Stages) => inferMs },
  { name: 'output', colour: 3, of: ({ outputMs }: Stages) => outputMs },
] as const;

export function stagesOverLoad(result: BenchResult): Markup {
  const known = result.levels.flatMap((level) => (level.server === undefined ? [] : [{ level, server: level.server }]));
  if (known.length === 0) return markup``;
  const step = (RIGHT - LEFT) / known.length;
  const totals = known.map(({ server }) => STAGES.reduce((sum, { of }) => sum + of(server), 0));
  const y = linearScale([0, ...totals], [BOTTOM, TOP]);
  const places: Scale = Object.assign((index: number) => LEFT + step * (index + 0.5), { ticks: [] });
  const every = Math.ceil((known.length * TICK_PX) / (RIGHT - LEFT));
  return figure(
    'Time of a request in the server',
    markup`${axes(places, y, loadTitle(result), 'ms, mean')}
    ${known.map(({ level, server }, index) => {
      let below = 0;
      return markup`${STAGES.map(({ name, colour, of }) => {
        const ms = of(server);
        const top = y(below + ms);
        const height = y(below) - top;
        below += ms;
        return markup`<g class="c${colour}"><rect class="dot" x="${places(index) - Math.min(18, step * 0.35)}" width="${Math.min(36, step * 0.7)}" y="${top}" height="${height}"><title>${nameOf(level)}: ${name} ${milliseconds(ms)}</title></rect></g>`;
      })}${index % every === 0 && markup`<text class="tick" x="${places(index)}" y="${BOTTOM + 20}" text-anchor="middle">${loadOf(level)}</text>`}`;
    })}`,
  );
}
