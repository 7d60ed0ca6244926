import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { runCommandLine } from './command-line.ts';

function has(shell: string): boolean {
  const found = spawnSync(shell, ['--version'], { stdio: 'ignore' }).status === 0;
  if (!found) console.warn(`SKIPPED: ${shell} is not installed, so its completion is not run`);
  return found;
}

/** A file with the script of a shell. */
async function scriptFor(shell: string): Promise<string> {
  const { code, stdout, stderr } = await runCommandLine(['completion', shell]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const file = path.join(temporaryDirectory(), `tensorgate.${shell}`);
  fs.writeFileSync(file, stdout);
  return file;
}

/** A line to complete, words that are offered, and words that are not. */
const LINES: readonly (readonly [line: string, offered: readonly string[], absent: readonly string[]])[] = [
  ['tensorgate ', ['serve', 'models', 'completion'], ['validate', '--json']],
  ['tensorgate mod', ['models'], ['serve']],
  ['tensorgate models ', ['validate', 'shadow'], ['serve']],
  ['tensorgate models --', ['--url', '--tls-ca', '--json'], ['--model-repository']],
  ['tensorgate models validate --', ['--json'], ['--url']],
  ['tensorgate serve --transport ', ['h2', 'grpc-js'], ['--grpc-port']],
  ['tensorgate completion ', ['bash', 'zsh', 'fish'], ['serve']],
];

describe.skipIf(!has('bash'))('bash', () => {
  test.each(LINES)('%j is completed', async (line, offered, absent) => {
    const words = line.split(' ');
    const program = [
      `source '${await scriptFor('bash')}'`,
      `COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')})`,
      `COMP_CWORD=${words.length - 1}`,
      '_tensorgate',
      `printf '%s\\n' "\${COMPREPLY[@]}"`,
    ].join('\n');
    const reply = execFileSync('bash', ['--norc', '-c', program], { encoding: 'utf8' }).split('\n');
    expect(reply).toEqual(expect.arrayContaining([...offered]));
    for (const word of absent) expect(reply).not.toContain(word);
  });
});

describe.skipIf(!has('fish'))('fish', () => {
  test.each(LINES)('%j is completed', async (line, offered, absent) => {
    const program = `source '${await scriptFor('fish')}'; complete -C '${line}'`;
    const reply = execFileSync('fish', ['--no-config', '-c', program], { encoding: 'utf8' })
      .split('\n')
      .map((entry) => entry.split('\t')[0]);
    expect(reply).toEqual(expect.arrayContaining([...offered]));
    for (const word of absent) expect(reply).not.toContain(word);
  });
});

describe.skipIf(!has('zsh'))('zsh', () => {
  test.each(LINES)('%j is completed', async (line, offered, absent) => {
    // The functions of zsh's completion system only run inside its line editor: these print what they would offer.
    const words = line.split(' ');
    const program = [
      'compdef() {}',
      '_files() {}',
      `_describe() { print -rl -- "\${(@)\${(P)2}%%:*}" }`,
      `compadd() { shift; print -rl -- "$@" }`,
      `source '${await scriptFor('zsh')}'`,
      `words=(${words.map((word) => `'${word}'`).join(' ')})`,
      `CURRENT=${words.length}`,
      '_tensorgate',
    ].join('\n');
    const prefix = words.at(-1) ?? '';
    const reply = execFileSync('zsh', ['-f', '-c', program], { encoding: 'utf8' })
      .split('\n')
      .filter((word) => word.startsWith(prefix));
    expect(reply).toEqual(expect.arrayContaining([...offered]));
    for (const word of absent) expect(reply).not.toContain(word);
  });
});

test('another shell is a wrong command line', async () => {
  const { code, stderr } = await runCommandLine(['completion', 'csh']);
  expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('bash, zsh, fish') });
});
