/** The goals of the scheduler, in the short form of `npm run simulate`. */

import { describe, expect, test } from 'vitest';
import type { CaseResult, Measure } from '../../../bench/simulate/case.ts';
import { CASES } from '../../../bench/simulate/cases.ts';
import { lineOf } from '../../../bench/simulate/report-markdown.ts';

const OPTIONS = { seeds: [11, 12, 13], isShort: true, cells: () => true };

/** Figures that miss their goal, and the value that they are held at until they reach it. `npm run simulate` prints them as MISSED. */
const MISSED: Readonly<Record<string, number>> = {};

const results = new Map<string, Promise<CaseResult>>();

/** Runs each case once. */
function resultOf(name: string): Promise<CaseResult> {
  const subject = CASES.find((one) => one.name === name);
  if (subject === undefined) throw new TypeError(`no case '${name}'`);
  const result = results.get(name) ?? subject.run(OPTIONS);
  results.set(name, result);
  return result;
}

/** Whether a figure reaches its goal, or what it is held at. */
function holds(name: string, { name: figure, value, bar }: Measure): boolean {
  if (bar === undefined) return true;
  const held = MISSED[`${name}: ${figure}`];
  return 'atLeast' in bar ? value >= (held ?? bar.atLeast) : value <= (held ?? bar.atMost);
}

describe('in the simulation', () => {
  test.each(CASES.map(({ name, title }) => ({ name, title })))(
    'the figures of "$title" hold',
    { timeout: 600_000 },
    async ({ name }) => {
      const { measures } = await resultOf(name);
      expect(measures.length).toBeGreaterThan(0);
      expect(measures.filter((measure) => !holds(name, measure)).map(lineOf)).toEqual([]);
    },
  );

  test('the same seeds give the same figures', { timeout: 600_000 }, async () => {
    const grid = CASES.filter(({ name }) => name === 'grid-10');
    const options = { ...OPTIONS, cells: (name: string) => name.startsWith('mlp/') };
    for (const subject of grid) expect(await subject.run(options)).toEqual(await subject.run(options));
  });

  test('every figure that is held below its goal is one that is measured', { timeout: 600_000 }, async () => {
    const known = new Set<string>();
    for (const { name } of CASES) {
      for (const measure of (await resultOf(name)).measures) known.add(`${name}: ${measure.name}`);
    }
    expect(Object.keys(MISSED).filter((key) => !known.has(key))).toEqual([]);
  });
});
