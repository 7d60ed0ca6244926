/** The report as Markdown. */

import { type Bar, type Case, type CaseResult, type Measure, reaches, type Table, type Unit } from './case.ts';

export interface Finished {
  readonly subject: Pick<Case, 'name' | 'title' | 'about'>;
  readonly result: CaseResult;
}

export function figure(value: number, unit: Unit): string {
  switch (unit) {
    case 'share':
      return `${(100 * value).toFixed(2)} %`;
    case 'ms':
      return `${value.toFixed(1)} ms`;
    case 'points':
      return value.toFixed(1);
    case 'ratio':
      return value.toFixed(4);
  }
}

export function barText(bar: Bar, unit: Unit): string {
  return 'atLeast' in bar ? `at least ${figure(bar.atLeast, unit)}` : `at most ${figure(bar.atMost, unit)}`;
}

export function verdict(measure: Measure): string {
  const reached = reaches(measure);
  return reached === undefined ? '' : reached ? 'reached' : 'MISSED';
}

/** One line for each figure, for the terminal. */
export function lineOf(measure: Measure): string {
  const { name, value, unit, bar, peers } = measure;
  const goal = bar === undefined ? '' : `  (${barText(bar, unit)}: ${verdict(measure)})`;
  const others = peersText(measure);
  return `  ${name}: ${figure(value, unit)}${goal}${peers === undefined ? '' : `  ${others}`}`;
}

function peersText({ peers = {}, unit }: Measure): string {
  return Object.entries(peers)
    .map(([name, value]) => `${name} ${figure(value, unit)}`)
    .join(', ');
}

export function markdownReport(finished: readonly Finished[], command: string): string {
  const summary: Table = {
    title: 'Figures',
    columns: ['case', 'figure', 'value', 'goal', 'verdict', 'peers in the same run'],
    rows: finished.flatMap(({ subject, result }) =>
      result.measures.map((measure) => summaryRow(subject.name, measure)),
    ),
  };
  const parts = ['# Simulation of the scheduler', `\`${command}\``, tableOf(summary)];
  for (const { subject, result } of finished) {
    parts.push(`## ${subject.title}`, subject.about, ...(result.tables ?? []).map(tableOf));
  }
  return `${parts.join('\n\n')}\n`;
}

export function summaryRow(name: string, measure: Measure): string[] {
  const { value, unit, bar } = measure;
  const goal = bar === undefined ? '' : barText(bar, unit);
  return [name, measure.name, figure(value, unit), goal, verdict(measure), peersText(measure)];
}

function tableOf({ title, columns, rows }: Table): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const rule = `|${columns.map(() => '---|').join('')}`;
  return [`**${title}**`, '', line(columns), rule, ...rows.map(line)].join('\n');
}
