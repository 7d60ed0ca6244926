/** The report as one HTML file that needs nothing beside it. */

import type { Table } from './case.ts';
import { drawChart, escapeHtml } from './chart.ts';
import { type Finished, summaryRow } from './report-markdown.ts';

const STYLE = `
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #111 }
table { border-collapse: collapse; margin: .6rem 0 1.4rem; font-size: 13px }
th, td { border-bottom: 1px solid #ddd; padding: .2rem .7rem .2rem 0; text-align: left; font-variant-numeric: tabular-nums }
svg { max-width: 46rem; display: block; font: 11px system-ui, sans-serif } .grid { stroke: #e5e7eb } figure { margin: 0 0 1.4rem }
.missed { color: #b91c1c; font-weight: 600 } code { background: #f3f4f6; padding: .1rem .3rem }
`;

export function htmlReport(finished: readonly Finished[], command: string): string {
  const summary: Table = {
    title: 'Figures',
    columns: ['case', 'figure', 'value', 'goal', 'verdict', 'peers in the same run'],
    rows: finished.flatMap(({ subject, result }) =>
      result.measures.map((measure) => summaryRow(subject.name, measure)),
    ),
  };
  const sections = finished.map(({ subject, result }) =>
    [
      `<h2 id="${escapeHtml(subject.name)}">${escapeHtml(subject.title)}</h2><p>${escapeHtml(subject.about)}</p>`,
      ...(result.charts ?? []).map(
        (chart) => `<figure><figcaption>${escapeHtml(chart.title)}</figcaption>${drawChart(chart)}</figure>`,
      ),
      ...(result.tables ?? []).map(tableOf),
    ].join('\n'),
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Simulation of the scheduler</title><style>${STYLE}</style></head><body>
<h1>Simulation of the scheduler</h1><p><code>${escapeHtml(command)}</code></p>
${tableOf(summary)}
${sections.join('\n')}
</body></html>
`;
}

function tableOf({ title, columns, rows }: Table): string {
  const cell = (text: string): string => `<td${text === 'MISSED' ? ' class="missed"' : ''}>${escapeHtml(text)}</td>`;
  const head = columns.map((column) => `<th>${escapeHtml(column)}</th>`).join('');
  const body = rows.map((row) => `<tr>${row.map(cell).join('')}</tr>`).join('\n');
  return `<h3>${escapeHtml(title)}</h3><table><thead><tr>${head}</tr></thead><tbody>\n${body}\n</tbody></table>`;
}
