import { styleText } from 'node:util';
import { toOneLine } from './terminal-text.ts';

/** Columns of text, padded to their widest cell, under a bold header where stdout is a terminal that wants colours. */
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [header, ...rows].map((row) => row.map(toOneLine));
  const widths = header.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const lines = cells.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  const [head = '', ...body] = lines;
  return [styleText('bold', head), ...body].map((line) => `${line}\n`).join('');
}
