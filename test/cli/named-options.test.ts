import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';

const CLI = path.join(import.meta.dirname, '../../src/cli');
const SOURCE = path.dirname(CLI);
/** Its options are CSS variables. */
const STYLE = path.join(SOURCE, 'compare/page/style.ts');
/** What commands share with the server: its texts may name the options of `serve`. */
const FOLLOWED = ['cli', 'compare', 'compress'].map((name) => path.join(SOURCE, name) + path.sep);

function read(file: string): string {
  return fs.readFileSync(file, 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
}

/** A module of the command line, and those modules that it imports, directly or not. */
function closure(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return seen;
  seen.add(file);
  for (const [, name = ''] of read(file).matchAll(/^(?:import|export) (?!type\b)[^;]*?from '(\.[^']+)'/gm)) {
    const next = path.join(path.dirname(file), name);
    if (next !== STYLE && FOLLOWED.some((folder) => next.startsWith(folder))) closure(next, seen);
  }
  return seen;
}

/** Options in a text, without those that follow the name of their command, such as `npx tensorgate serve --url` or `(serve --rest)`. */
function optionsIn(text: string): string[] {
  const own = text.replaceAll(/(npx tensorgate \w+|docker run|\bserve)\b[^'`;)]*--[a-z-]+/g, '');
  return [...own.matchAll(/(?<![\w-])--[a-z][a-z-]+/g)].map(([option]) => option);
}

function textsIn(file: string): string[] {
  return [...read(file).matchAll(/'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`/g)].map(([text]) => text);
}

const COMMANDS = fs
  .readdirSync(CLI)
  .filter((name) => name.endsWith('-command.ts') && name !== 'serve-command.ts')
  .flatMap((name) => {
    const file = path.join(CLI, name);
    return [...read(file).matchAll(/await import\('(\.\/[^']+)'\)/g)].map(([, target = '']) => [name, target] as const);
  });

test.each(COMMANDS)('%s: texts of %s name only options that the command has', (command, target) => {
  // Options stand in the module of the command, and in modules of shared ones that it imports.
  const declared = new Set([...closure(path.join(CLI, command))].flatMap((file) => textsIn(file).flatMap(optionsIn)));
  const missing = [...closure(path.join(CLI, target))].flatMap((file) =>
    textsIn(file)
      .flatMap(optionsIn)
      .filter((option) => !declared.has(option))
      .map((option) => `${path.relative(SOURCE, file)}: ${option}`),
  );
  expect(missing).toEqual([]);
});

test('every command with a module of its own is looked at', () => {
  expect(COMMANDS.map(([name]) => name)).toEqual(expect.arrayContaining(['compress-command.ts', 'infer-command.ts']));
});
