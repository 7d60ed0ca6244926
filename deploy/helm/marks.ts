/**
 * Helm expressions within the strings of an object. Marks from the private use area of Unicode keep them apart from text, so that an
 * object with expressions stays plain data that can be compared.
 */

const OPEN = '\uE000';
const CLOSE = '\uE001';
const BLOCK = '\uE002';

/** An expression, such as `.Values.replicaCount`, as a value or as a part of a string. */
export function expression(text: string): string {
  return `${OPEN}${text}${CLOSE}`;
}

/**
 * Lines of a template as a value, as a key of a map or as an item of a list. `@` and a number stand for the column of the block
 * plus this number, such as `{{- toYaml .Values.resources | nindent @2 }}`.
 */
export function block(...lines: readonly string[]): string {
  return `${BLOCK}${lines.join('\n')}`;
}

/** The lines of a block at this column; `undefined` if the text is no block. */
export function blockLines(text: string, column: number): string[] | undefined {
  if (!text.startsWith(BLOCK)) return undefined;
  const lines = text.slice(BLOCK.length).split('\n');
  return lines.map(
    (line) => ' '.repeat(column) + line.replaceAll(/@(\d+)/g, (_, more) => String(column + Number(more))),
  );
}

/** Text and expressions in turn; the first part is text. */
export function parts(text: string): string[] {
  return text.split(/[\uE000\uE001]/);
}
