import { styleText } from 'node:util';
import { toOneLine } from './terminal-text.ts';

/** Columns of text, padded to their widest cell, under a bold header where stdout is a terminal that wants colours. */
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const [head = '', ...body] = alignedLines([header, ...rows]);
  return [styleText('bold', head), ...body].map((line) => `${line}\n`).join('');
}

/** Rows of text as lines whose columns are padded to their widest cell. */
export function alignedLines(rows: readonly (readonly string[])[]): string[] {
  const cells = rows.map((row) => row.map(toOneLine));
  const columns = Math.max(0, ...cells.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(...cells.map((row) => row[column]?.length ?? 0)),
  );
  return cells.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
