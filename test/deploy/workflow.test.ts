/** The workflow by which those who fork on GitHub get the same checks as `.ci/run`. */

import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { runProgram } from '../support/run-program.ts';
import { actionlint } from '../tools/tools.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const WORKFLOWS = path.join(ROOT, '.github/workflows');
const FILES = fs.readdirSync(WORKFLOWS);

const linter = actionlint();
if (linter === undefined) console.warn('SKIPPED: actionlint is not installed; test/tools/setup.sh installs it');

interface Workflow {
  readonly permissions: Readonly<Record<string, string>>;
  readonly jobs: Readonly<
    Record<string, { readonly steps: readonly { readonly uses?: string; readonly run?: string }[] }>
  >;
}

const texts = FILES.map((name) => fs.readFileSync(path.join(WORKFLOWS, name), 'utf8'));
const steps = texts.flatMap((text) => Object.values((parse(text) as Workflow).jobs).flatMap((job) => job.steps));

describe('the workflow', () => {
  test.skipIf(linter === undefined)('satisfies actionlint', async () => {
    const files = FILES.map((name) => path.join(WORKFLOWS, name));
    // What shellcheck says depends on whether the machine has it.
    expect(await runProgram(linter ?? '', ['-shellcheck=', '-pyflakes=', ...files])).toEqual({
      code: 0,
      stdout: '',
      stderr: '',
    });
  });

  test('runs what runs everywhere', () => {
    expect(steps.filter(({ run }) => run?.endsWith(' .ci/run'))).toHaveLength(1);
    expect(fs.statSync(path.join(ROOT, '.ci/run')).mode & 0o111).not.toBe(0);
  });

  test('may read the repository, and nothing else', () => {
    for (const text of texts) expect((parse(text) as Workflow).permissions).toEqual({ contents: 'read' });
  });

  test('pins each action by a commit, and names its version', () => {
    const used = texts.flatMap((text) => text.split('\n').filter((line) => /\buses:/.test(line)));
    expect(used).not.toHaveLength(0);
    for (const line of used) expect(line).toMatch(/uses: [\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
    const versions = new Map<string, Set<string>>();
    for (const { uses = '' } of steps) {
      const [action = '', commit = ''] = uses.split('@');
      if (uses !== '') versions.set(action, (versions.get(action) ?? new Set()).add(commit));
    }
    for (const [action, commits] of versions) expect([action, commits.size]).toEqual([action, 1]);
  });

  test('builds its caches again when what they hold is another', () => {
    const hashed = texts.flatMap((text) => [...text.matchAll(/hashFiles\(([^)]*)\)/g)].map(([, names = '']) => names));
    const names = hashed.flatMap((list) => [...list.matchAll(/'([^']+)'/g)].map(([, name = '']) => name));
    expect(names).not.toHaveLength(0);
    // A pattern that matches nothing gives the same key for ever.
    for (const name of names) expect(fs.globSync(name, { cwd: ROOT }), name).not.toHaveLength(0);
  });
});
