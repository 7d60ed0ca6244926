/** The text of a Helm template for a tree. */

import { stringify } from 'yaml';
import { blockLines, parts } from './marks.ts';
import type { Conditional, Node } from './merge.ts';

const INDENT = 2;

export function templateOf(tree: Node): string {
  return `${linesOf(tree, 0).join('\n')}\n`;
}

function linesOf(node: Node, column: number): string[] {
  if (node.kind === 'map') return guarded(node.entries, column, (entry) => entryLines(entry.key, entry.node, column));
  if (node.kind === 'list') return guarded(node.items, column, (item) => itemLines(item.node, column));
  throw new Error('an object of Kubernetes is a map');
}

/** Neighbours with the same condition share it. */
function guarded<Part extends Conditional>(
  sequence: readonly Part[],
  column: number,
  lines: (part: Part) => readonly string[],
): string[] {
  return sequence.flatMap((part, index) => {
    const { condition } = part;
    if (condition === undefined) return lines(part);
    const opens = sequence[index - 1]?.condition !== condition;
    const closes = sequence[index + 1]?.condition !== condition;
    return [
      ...(opens ? [action(`if ${condition}`, column)] : []),
      ...lines(part),
      ...(closes ? [action('end', column)] : []),
    ];
  });
}

function action(text: string, column: number): string {
  return `${' '.repeat(column)}{{- ${text} }}`;
}

function entryLines(key: string, node: Node, column: number): string[] {
  const keyLines = blockLines(key, column);
  if (keyLines !== undefined) return keyLines;
  const head = `${' '.repeat(column)}${stringify(key, { version: '1.1' }).trim()}:`;
  switch (node.kind) {
    case 'map':
      return node.entries.length === 0 ? [`${head} {}`] : [head, ...linesOf(node, column + INDENT)];
    case 'list':
      return node.items.length === 0 ? [`${head} []`] : [head, ...linesOf(node, column + INDENT)];
    case 'choice': {
      const lines = node.options.flatMap(({ condition, node: option }, index) => [
        action(
          index === 0 ? `if ${condition}` : index === node.options.length - 1 ? 'else' : `else if ${condition}`,
          column,
        ),
        ...entryLines(key, option, column),
      ]);
      return [...lines, action('end', column)];
    }
    case 'scalar': {
      const block = typeof node.value === 'string' ? blockLines(node.value, column + INDENT) : undefined;
      if (block !== undefined) return [head, ...block];
      const [first = '', ...rest] = scalarLines(node.value, column + INDENT);
      return [`${head} ${first}`, ...rest];
    }
  }
}

function itemLines(node: Node, column: number): string[] {
  const dash = `${' '.repeat(column)}- `;
  if (node.kind === 'scalar') {
    const block = typeof node.value === 'string' ? blockLines(node.value, column) : undefined;
    if (block !== undefined) return block;
    const [first = '', ...rest] = scalarLines(node.value, column + INDENT);
    return [`${dash}${first}`, ...rest];
  }
  const [first = '', ...rest] = linesOf(node, column + INDENT);
  // The dash stands before a key, never before an action.
  if (first.trimStart().startsWith('{{-')) throw new Error(`the first key of an item has a condition: ${first.trim()}`);
  return [dash + first.trimStart(), ...rest];
}

const PLAIN = /^[\w./-]*$/;

function scalarLines(value: unknown, column: number): string[] {
  if (typeof value !== 'string') return [JSON.stringify(value)];
  const pieces = parts(value);
  const text = pieces
    .map((piece, index) => (index % 2 === 0 ? piece.replaceAll('{{', '{{ "{{" }}') : `{{ ${piece} }}`))
    .join('');
  if (value.includes('\n')) {
    const lines = text.replace(/\n$/, '').split('\n');
    return [
      value.endsWith('\n') ? '|' : '|-',
      ...lines.map((line) => (line === '' ? line : ' '.repeat(column) + line)),
    ];
  }
  if (pieces.length === 1)
    return [value.includes('{{') ? quoted(text) : stringify(value, { lineWidth: 0, version: '1.1' }).trimEnd()];
  return [pieces.every((piece, index) => index % 2 === 1 || PLAIN.test(piece)) ? text : quoted(text)];
}

/** Single quotes keep what stands within them, the quotes of expressions included. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
