/** How far a model keeps its objective. */

import type { BenchResult, LevelResult } from './result.ts';

/** `rate 200/s` or `concurrency 4`. */
export function nameOf({ ratePerS, concurrency }: Pick<LevelResult, 'ratePerS' | 'concurrency'>): string {
  return ratePerS === undefined ? `concurrency ${concurrency}` : `rate ${ratePerS}/s`;
}

/** `99 % of the calls within 50 ms` */
export function goalOf({ share, ms }: NonNullable<BenchResult['slo']>): string {
  return `${Number((share * 100).toFixed(3))} % of the calls within ${ms} ms`;
}

/** The first level that is not known to keep the objective, and the level before it. */
export function limitOf({ levels }: BenchResult): { readonly met?: LevelResult; readonly broken?: LevelResult } {
  const bad = levels.findIndex((level) => level.slo?.verdict !== 'met');
  const [met, broken] = bad < 0 ? [levels.at(-1)] : [levels[bad - 1], levels[bad]];
  return { ...(met && { met }), ...(broken && { broken }) };
}
