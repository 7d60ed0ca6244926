/** Two results of the same load, level by level. */

import type { BenchResult, Comparison, LevelResult, Spread } from './result.ts';

/** Changes below are noise between two runs, however steady each of them was. */
const MIN_CHANGE = 0.1;

type Figure = Comparison['levels'][number]['figures'][number];

const FIGURES = [
  { name: 'p50 ms', spread: 'p50Ms', of: (level: LevelResult) => level.latencyMs?.p50, isBetterLower: true },
  { name: 'p99 ms', spread: 'p99Ms', of: (level: LevelResult) => level.latencyMs?.p99, isBetterLower: true },
  {
    name: 'answered/s',
    spread: 'answeredPerS',
    of: (level: LevelResult) => level.answeredPerS,
    isBetterLower: false,
  },
] as const;

/** Compares the levels that both results have. @param source file of `before` */
export function compareResults(before: BenchResult, now: BenchResult, source: string): Comparison {
  const levels = now.levels.flatMap((level) => {
    const old = before.levels.find(
      ({ ratePerS, concurrency }) => ratePerS === level.ratePerS && concurrency === level.concurrency,
    );
    if (old === undefined) return [];
    const { ratePerS, concurrency } = level;
    const name = ratePerS === undefined ? { concurrency } : { ratePerS };
    return [{ ...name, figures: FIGURES.flatMap((figure) => compareFigure(figure, old, level)) }];
  });
  return {
    source,
    created: before.created,
    differences: differencesOf(before, now),
    levels,
    regressions: levels.flatMap(({ figures }) => figures).filter(({ verdict }) => verdict === 'worse').length,
  };
}

function compareFigure(
  { name, spread, of, isBetterLower }: (typeof FIGURES)[number],
  before: LevelResult,
  now: LevelResult,
): Figure[] {
  const [old, value] = [of(before), of(now)];
  if (old === undefined || value === undefined || old === 0) return [];
  const ratio = value / old;
  const ranges = [before.spread?.[spread], now.spread?.[spread]] as const;
  const isGrown = ratio > 1;
  const verdict = isNoise(ratio, ranges) ? 'same' : isGrown === isBetterLower ? 'worse' : 'better';
  return [{ name, before: old, now: value, ratio, verdict }];
}

/** A change is noise if it is small, or if fifths of the two levels overlap. */
function isNoise(ratio: number, [before, now]: readonly (Spread['p50Ms'] | undefined)[]): boolean {
  if (Math.max(ratio, 1 / ratio) < 1 + MIN_CHANGE) return true;
  return before === undefined || now === undefined || (now.min <= before.max && before.min <= now.max);
}

/** Facts that make two results hard to compare. */
function differencesOf(before: BenchResult, now: BenchResult): string[] {
  const facts: readonly (readonly [string, (result: BenchResult) => string])[] = [
    ['model', ({ model }) => model],
    ['protocol', ({ protocol }) => protocol],
    ['arrivals', ({ arrivals }) => arrivals ?? 'closed loop'],
    ['data', ({ data }) => `${data.rows} rows of ${data.source}`],
    ['duration', ({ durationMs }) => `${durationMs} ms`],
    ['processor', ({ machine }) => `${machine.cpu}, ${machine.cores} cores`],
    ['Node', ({ machine }) => machine.node],
  ];
  return facts.flatMap(([name, of]) => {
    const [old, value] = [of(before), of(now)];
    return old === value ? [] : [`${name}: ${old} before, ${value} now`];
  });
}
