import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { SETTINGS } from '../../src/gateway/ops/setting-description.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const PAGE = fs.readFileSync(path.join(ROOT, 'docs/reliability.md'), 'utf8');
const quoted = [...PAGE.matchAll(/`([^`\n]+)`/g)].map(([, text = '']) => text);

test('docs/reliability.md names tests that exist', () => {
  const tests = quoted.filter((text) => text.startsWith('test/'));
  expect(tests.length).toBeGreaterThan(20);
  expect(tests.filter((file) => !fs.existsSync(path.join(ROOT, file)))).toEqual([]);
});

test('docs/reliability.md names settings that exist', () => {
  const keys: readonly string[] = SETTINGS.map(({ key }) => key);
  const named = quoted.filter((text) => /^(http2?|max|drain|allow)[A-Z][A-Za-z]+$/.test(text));
  expect(named.length).toBeGreaterThan(15);
  expect(named.filter((key) => !keys.includes(key))).toEqual([]);
});
