/** npm run simulate: see `--help` and docs/simulation.md. */

import fs from 'node:fs';
import path from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { reaches } from './case.ts';
import { CELL_NAMES } from './cases/grid.ts';
import { CASES } from './cases.ts';
import { htmlReport } from './report-html.ts';
import { type Finished, lineOf, markdownReport } from './report-markdown.ts';

interface Options {
  readonly seed: readonly number[];
  readonly only?: readonly string[];
  readonly cells?: readonly string[];
  readonly short: boolean;
  readonly table: boolean;
  readonly out?: string;
}

const program = new Command('simulate')
  .description(
    'Runs the scheduler, its admission and its cost model under a virtual clock, and prints its figures beside the goals, the\n' +
      'batching rules of other servers, and the clairvoyant optimum. Seeds are fixed: every run prints the same.',
  )
  .option('--only <cases>', 'run these cases, separated by commas', namesOfCases)
  .option(
    '--cells <parts>',
    'of a grid, run the cells whose names contain one of these texts, such as gpu/,/1.2',
    partsOfCells,
  )
  .option(
    '--seed <numbers>',
    'seeds of the arrivals: grids take means over all of them, other cases the first',
    seedsOf,
    [11, 12, 13],
  )
  .option('--short', 'fewer cells, loads and seconds: what the tests run', false)
  .option('--table', 'print the tables too', false)
  .option('--out <directory>', 'write report.md and report.html there')
  .addHelpText('after', () => `\nCases:\n${CASES.map(({ name, title }) => `  ${name.padEnd(16)} ${title}`).join('\n')}`)
  .addHelpText(
    'after',
    `
Examples:
  npm run simulate                                         all cases
  npm run simulate -- --only grid --seed 11 --table        36 cells, one seed
  npm run simulate -- --only grid-25 --cells mlp,/1.2      some cells
  npm run simulate -- --out /tmp/report                    the report as Markdown and HTML

The exit status is 1 where a goal is missed.`,
  )
  .parse();

const options = program.opts<Options>();
const isChosen = (name: string): boolean => options.only === undefined || options.only.includes(name);
const cells = (name: string): boolean =>
  options.cells === undefined || options.cells.some((part) => name.includes(part));
const finished: Finished[] = [];
for (const subject of CASES.filter(({ name }) => isChosen(name))) {
  const started = process.cpuUsage();
  const result = await subject.run({ seeds: options.seed, isShort: options.short, cells });
  const { user, system } = process.cpuUsage(started);
  finished.push({ subject, result });
  console.log(`${subject.name}: ${subject.title} (${((user + system) / 1e6).toFixed(1)} s of CPU)`);
  if (options.table) {
    for (const { columns, rows } of result.tables ?? []) {
      const lines = [columns, ...rows];
      const widths = columns.map((_, index) => Math.max(...lines.map((line) => line[index]?.length ?? 0)));
      for (const line of lines)
        console.log(`  ${line.map((text, index) => text.padEnd(widths[index] ?? 0)).join('  ')}`);
    }
  }
  for (const measure of result.measures) console.log(lineOf(measure));
}
if (options.out !== undefined) {
  const command = ['npm run simulate', ...(process.argv.length > 2 ? ['--', ...process.argv.slice(2)] : [])].join(' ');
  fs.mkdirSync(options.out, { recursive: true });
  fs.writeFileSync(path.join(options.out, 'report.md'), markdownReport(finished, command));
  fs.writeFileSync(path.join(options.out, 'report.html'), htmlReport(finished, command));
}
const missed = finished.flatMap(({ result }) => result.measures).filter((measure) => reaches(measure) === false);
if (missed.length > 0) process.exitCode = 1;

function listOf(text: string): string[] {
  return text.split(',').map((part) => part.trim());
}

function partsOfCells(text: string): string[] {
  const parts = listOf(text);
  const unknown = parts.find((part) => !CELL_NAMES.some((name) => name.includes(part)));
  if (unknown === undefined) return parts;
  throw new InvalidArgumentError(
    `no cell's name contains '${unknown}'; they are such as ${CELL_NAMES.slice(0, 3).join(', ')}.`,
  );
}

function namesOfCases(text: string): string[] {
  const names = listOf(text);
  const unknown = names.find((name) => !CASES.some((subject) => subject.name === name));
  if (unknown === undefined) return names;
  throw new InvalidArgumentError(`'${unknown}' is no case; the cases are ${CASES.map(({ name }) => name).join(', ')}.`);
}

function seedsOf(text: string): number[] {
  const seeds = listOf(text).map(Number);
  if (seeds.every((seed) => Number.isInteger(seed) && seed >= 0)) return seeds;
  throw new InvalidArgumentError(`'${text}' is no list of integers from 0 on, such as 11,12.`);
}
