/** Which suite a test file belongs to: `npm test` is quick and needs no outside tool, `npm run test:all` is everything. */

import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { FULL_SUITE_ONLY } from '../vitest.config.ts';

const ROOT = path.join(import.meta.dirname, '..');
const TOOLS = path.join(ROOT, 'test/tools/tools.ts');

const ALL = fs.globSync('test/**/*.test.ts', { cwd: ROOT });
const QUICK = fs.globSync('test/**/*.test.ts', { cwd: ROOT, exclude: FULL_SUITE_ONLY });

/** The files that `file` imports by relative paths, itself among them, however far. */
function withImports(file: string, seen = new Set<string>()): ReadonlySet<string> {
  if (seen.has(file)) return seen;
  seen.add(file);
  for (const [, specifier = ''] of fs
    .readFileSync(file, 'utf8')
    .matchAll(/^(?:import|export|\}).* from '(\.[^']+\.ts)'/gm)) {
    withImports(path.join(path.dirname(file), specifier), seen);
  }
  return seen;
}

test('the quick suite is most of the test files, and the end-to-end tests among them', () => {
  expect(QUICK.length).toBeGreaterThan(ALL.length / 2);
  expect(QUICK).toContain('test/e2e/protocol.test.ts');
});

test('no test of the quick suite imports an outside tool, which a fresh clone lacks', () => {
  expect(withImports(path.join(ROOT, 'test/interop/grpcurl.test.ts'))).toContain(TOOLS);
  expect(QUICK.filter((file) => withImports(path.join(ROOT, file)).has(TOOLS))).toEqual([]);
});

test('a file named *.full.test.ts lies outside the folders that only the full suite runs anyway', () => {
  const folders = FULL_SUITE_ONLY.filter((pattern) => !pattern.includes('.full.'));
  const outside = fs.globSync('test/**/*.full.test.ts', { cwd: ROOT, exclude: folders });
  expect(outside).toEqual(ALL.filter((file) => file.endsWith('.full.test.ts')));
});
