/** The labels of invariants, such as `LIFE-2`: a search for the label in a failure line finds the one place that states it. */

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { titlesOf } from './words/prose.ts';

const ROOT = path.join(import.meta.dirname, '..');
/** A line at the head of a file, or of something that it exports, that states an invariant. Comments further in refer to it. */
const STATEMENT = /^ \*\s+([A-Z]+-?\d+): /gm;
const LABEL = /^[A-Z]{2,}-\d+$/;

interface Invariant {
  readonly label: string;
  readonly prefix: string;
  readonly file: string;
}

const sources = read('src/*.ts').filter(({ file }) => !file.endsWith('_pb.ts'));
const invariants: readonly Invariant[] = sources.flatMap(({ file, text }) =>
  [...text.matchAll(STATEMENT)].map(([, label = '']) => ({ file, label, prefix: label.replace(/-?\d+$/, '') })),
);
const labels = new Set(invariants.map(({ label }) => label));
const prefixes = new Map(invariants.map(({ prefix, file }) => [prefix, file]));

function read(pattern: string): readonly { file: string; text: string }[] {
  const listed = execFileSync('git', ['ls-files', '-z', '--', pattern], { cwd: ROOT, encoding: 'utf8' });
  return listed
    .split('\0')
    .filter((file) => file !== '' && fs.existsSync(path.join(ROOT, file)))
    .map((file) => ({ file, text: fs.readFileSync(path.join(ROOT, file), 'utf8') }));
}

test('every label of an invariant is a prefix and a number, such as LIFE-2', () => {
  expect(invariants.length).toBeGreaterThan(80);
  expect(invariants.filter(({ label }) => !LABEL.test(label))).toEqual([]);
});

test('every label of an invariant is stated once in the repository', () => {
  expect(
    invariants.filter(({ label }, index) => invariants.findIndex((each) => each.label === label) !== index),
  ).toEqual([]);
});

test('all invariants with one prefix are stated in one file, numbered from 1 without gaps', () => {
  expect(invariants.filter(({ prefix, file }) => prefixes.get(prefix) !== file)).toEqual([]);
  for (const prefix of prefixes.keys()) {
    const numbers = invariants.filter((each) => each.prefix === prefix).map(({ label }) => label.split('-')[1]);
    expect(numbers, prefix).toEqual(numbers.map((_, index) => String(index + 1)));
  }
});

test('every label that code or a test refers to is stated', () => {
  const unstated = [...sources, ...read('test/*.ts')].flatMap(({ file, text }) =>
    [...text.matchAll(/\b([A-Z]{2,})-(\d+)\b/g)]
      .filter(([label, prefix = '']) => prefixes.has(prefix) && !labels.has(label))
      .map(([label]) => `${file}: ${label}`),
  );
  expect(unstated).toEqual([]);
});

test('every label that begins the title of a test is stated', () => {
  const unstated = read('test/*.ts').flatMap(({ file, text }) =>
    titlesOf(text).flatMap(({ line, text: title }) => {
      const [, list = ''] = /^([A-Z]+-?\d+(?:, [A-Z]+-?\d+)*): /.exec(title) ?? [];
      return list
        .split(', ')
        .filter((label) => label !== '' && !labels.has(label))
        .map((label) => `${file}:${line}: ${label}`);
    }),
  );
  expect(unstated).toEqual([]);
});
