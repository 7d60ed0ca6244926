/** The shell commands of every page, as a reader would copy them. */

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

const ROOT = path.join(import.meta.dirname, '../..');

export interface PrintedCommand {
  readonly page: string;
  /** From 1. */
  readonly line: number;
  /** Literally, with its continuation lines. */
  readonly text: string;
}

/** Pages of the repository; the change log quotes commands of the past. */
export function pages(): readonly string[] {
  const patterns = ['*.md', ':(exclude)CHANGELOG.md', ':(exclude)third_party'];
  return execFileSync('git', ['ls-files', '--', ...patterns], { cwd: ROOT, encoding: 'utf8' })
    .split('\n')
    .filter((page) => page !== '' && fs.existsSync(path.join(ROOT, page)));
}

export function printedCommands(): readonly PrintedCommand[] {
  return pages().flatMap((page) => commandsOf(page, fs.readFileSync(path.join(ROOT, page), 'utf8')));
}

/** The commands in blocks tagged `sh`. */
export function commandsOf(page: string, source: string): readonly PrintedCommand[] {
  const commands: PrintedCommand[] = [];
  for (const { line: start, tag, lines } of blocksOf(source)) {
    if (tag !== 'sh') continue;
    let text = '';
    let line = start;
    for (const [index, each] of lines.entries()) {
      if (text === '') line = start + index;
      text += text === '' ? each : `\n${each}`;
      if (isOpen(text)) continue;
      if (text.trim() !== '') commands.push({ page, line, text });
      text = '';
    }
  }
  return commands;
}

/** Blocks without a tag that begin like a command: they would be run by no test. */
export function untaggedCommands(source: string): readonly number[] {
  return blocksOf(source)
    .filter(
      ({ tag, lines }) =>
        tag === '' && /^(npx|npm|tensorgate|docker|kubectl|curl|grpcurl|node|python3?) /.test(lines[0] ?? ''),
    )
    .map(({ line }) => line);
}

interface Block {
  /** The number of its first line of code, from 1. */
  readonly line: number;
  readonly tag: string;
  readonly lines: readonly string[];
}

function blocksOf(source: string): readonly Block[] {
  const blocks: Block[] = [];
  let open: { line: number; tag: string; lines: string[]; indent: string } | undefined;
  for (const [index, line] of source.split('\n').entries()) {
    const [, indent = '', tag] = /^(\s*)```(\w*)\s*$/.exec(line) ?? [];
    if (tag === undefined) open?.lines.push(line.startsWith(open.indent) ? line.slice(open.indent.length) : line);
    else if (open === undefined) open = { line: index + 2, tag, lines: [], indent };
    else {
      blocks.push(open);
      open = undefined;
    }
  }
  return blocks;
}

/** Whether a command goes on in the next line: a backslash, a pipe, an open quote, an open here-document. */
function isOpen(text: string): boolean {
  const code = text.replace(/\s#[^'"]*$/, '');
  if (/(\\|\|)$/.test(code)) return true;
  const end = /<<(\w+)$/m.exec(text)?.[1];
  if (end !== undefined) return !new RegExp(`^${end}$`, 'm').test(text);
  return (text.replace(/"[^"'\n]*'[^"'\n]*"/g, '').match(/'/g) ?? []).length % 2 === 1;
}
