import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { expect, test } from 'vitest';

const PROGRAM = path.resolve(import.meta.dirname, '../../bench/main.ts');

test.each([
  { line: '--nope', says: "error: Unknown option '--nope'" },
  { line: 'constructor', says: "error: there is no bench 'constructor'" },
  { line: 'overhead --rounds 0.5', says: "error: --rounds is '0.5', expected a number from 1" },
  { line: '--rounds', says: "error: Option '--rounds <value>' argument missing" },
])('`npm run bench -- $line` says what is wrong, and how it is used', ({ line, says }) => {
  const { status, stderr } = spawnSync(process.execPath, [PROGRAM, ...line.split(' ')], { encoding: 'utf8' });
  expect(status).toBe(2);
  expect(stderr).toContain(says);
  expect(stderr).toContain('usage: npm run bench');
  expect(stderr).not.toContain('    at ');
});
