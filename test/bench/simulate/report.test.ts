import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { type CaseResult, type Measure, reaches } from '../../../bench/simulate/case.ts';
import { drawChart } from '../../../bench/simulate/chart.ts';
import { htmlReport } from '../../../bench/simulate/report-html.ts';
import { lineOf, markdownReport } from '../../../bench/simulate/report-markdown.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

const GOOD: Measure = { name: 'mean', value: 0.99, unit: 'ratio', bar: { atLeast: 0.98 }, peers: { Triton: 0.5 } };
const BAD: Measure = { name: 'late <work>', value: 0.02, unit: 'share', bar: { atMost: 0.005 } };
const FREE: Measure = { name: 'p99', value: 12.34, unit: 'ms' };

const RESULT: CaseResult = {
  measures: [GOOD, BAD, FREE],
  tables: [{ title: 'Cells', columns: ['cell', 'a|b'], rows: [['x', '1 & 2']] }],
  charts: [{ title: 'Plot', x: 'load', y: 'share', kind: 'lines', series: [{ name: 'ours', values: [[0, 1]] }] }],
};
const FINISHED = [{ subject: { name: 'grid', title: 'A grid', about: 'What it is.' }, result: RESULT }];

describe('a report', () => {
  test('says of each figure whether it reaches its goal, and what peers reach', () => {
    expect([GOOD, BAD, FREE].map(reaches)).toEqual([true, false, undefined]);
    expect([GOOD, BAD, FREE].map(lineOf)).toEqual([
      '  mean: 0.9900  (at least 0.9800: reached)  Triton 0.5000',
      '  late <work>: 2.00 %  (at most 0.50 %: MISSED)',
      '  p99: 12.3 ms',
    ]);
  });

  test('in Markdown has a row for each figure, and keeps bars of cells out of the table', () => {
    const text = markdownReport(FINISHED, 'npm run simulate');
    expect(text).toContain('| grid | mean | 0.9900 | at least 0.9800 | reached | Triton 0.5000 |');
    expect(text).toContain('| cell | a\\|b |');
  });

  test('in HTML needs no other file, and escapes what it shows', () => {
    const html = htmlReport(FINISHED, 'npm run simulate -- --only <x>');
    expect(html).toContain('<td class="missed">MISSED</td>');
    expect(html).toContain('late &lt;work&gt;');
    expect(html).toContain('--only &lt;x&gt;');
    expect(html).toContain('<svg ');
    expect(html).not.toMatch(/<script|<link|src=|url\(/);
  });
});

test('a plot leaves out values that are no numbers, and may have one value only', () => {
  const series = [{ name: 'ours', values: [[0, Number.NaN] as const, [1, 2] as const] }];
  const svg = drawChart({ title: 'Plot', x: 'x', y: 'y', kind: 'lines', series, labels: ['a', 'b'] });
  expect(svg).not.toMatch(/NaN|Infinity/);
  expect(svg).toContain('>a</text>');
});

describe('the command', () => {
  const run = (...args: readonly string[]) =>
    spawnSync(process.execPath, [path.join('bench', 'simulate', 'main.ts'), ...args], {
      cwd: path.join(import.meta.dirname, '..', '..', '..'),
      encoding: 'utf8',
    });

  test('prints chosen cells of a case, writes both reports, and its exit status says whether goals were missed', () => {
    const out = temporaryDirectory();
    const { stdout, status } = run('--only', 'grid', '--cells', 'resnet50/poisson/0.7', '--seed', '11', '--out', out);
    expect(stdout).toMatch(/^grid: 36 cells \(.* s of CPU\)\n {2}mean: /);
    expect(status).toBe(stdout.includes('MISSED') ? 1 : 0);
    expect(fs.readdirSync(out).sort()).toEqual(['report.html', 'report.md']);
  });

  test('names what it does not know', () => {
    expect(run('--only', 'gird').stderr).toContain("'gird' is no case; the cases are grid, grid-10");
    expect(run('--cells', 'gpu/,/7').stderr).toContain(
      "no cell's name contains '/7'; they are such as gpu/poisson/0.7",
    );
    expect(run('--seed', 'x').stderr).toContain("'x' is no list of integers");
    expect(run('--help').stdout).toContain('maximal-rate');
  });
});
