import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { parseYaml } from '../../../../src/gateway/repository/config/yaml-document.ts';
import { suggestion } from '../../../../src/suggestion.ts';

const SCHEMA = z.strictObject({
  size: z.int().min(1).default(4),
  nested: z.strictObject({ deep: z.strictObject({ value: z.boolean().optional() }).prefault({}) }).prefault({}),
  list: z.array(z.strictObject({ name: z.string() })).optional(),
});

test('a document that fits is its value, with defaults, and says where its fields are', () => {
  const parsed = parseYaml('list: [{ name: a }]', 'f', SCHEMA);
  expect(parsed).toMatchObject({ kind: 'value', value: { size: 4, nested: { deep: {} }, list: [{ name: 'a' }] } });
  expect(parsed.kind === 'value' && parsed.locate(['list'])).toEqual({ line: 1, column: 7 });
});

test.each([
  { name: 'a value', text: 'size: 0', problem: /^f:1:7: size: / },
  { name: 'a value far inside', text: 'nested:\n  deep:\n    value: 3', problem: /^f:3:12: nested\.deep\.value: / },
  {
    name: 'a key far inside, whose neighbours are behind defaults',
    text: 'nested:\n  deep:\n    valeu: true',
    problem: /nested\.deep\.valeu: .*did you mean 'value'\?$/,
  },
  { name: 'an element of a list', text: 'list:\n- name: a\n- name: 3', problem: /^f:3:9: list\.1\.name: / },
  {
    name: 'a key of an element',
    text: 'list: [{ nam: a, name: b }]',
    problem: /list\.0\.nam: .*did you mean 'name'\?$/,
  },
  { name: 'a field that is missing', text: 'size: 1\nlist:\n- {}', problem: /list\.0\.name: / },
])('a problem says where it is: $name', ({ text, problem }) => {
  const parsed = parseYaml(text, 'f', SCHEMA);
  expect(parsed.kind).toBe('problems');
  if (parsed.kind === 'problems') expect(parsed.problems.join('\n')).toMatch(problem);
});

describe('a suggestion', () => {
  const known = ['max_batch_size', 'max_run_ms', 'name'];

  test.each([
    { key: 'max_batchsize', expected: "; did you mean 'max_batch_size'?" },
    { key: 'nmae', expected: "; did you mean 'name'?" },
    { key: 'Name', expected: "; did you mean 'name'?" },
    { key: 'max_runs_ms', expected: "; did you mean 'max_run_ms'?" },
    { key: 'zebra_crossing', expected: '; known are max_batch_size, max_run_ms, name' },
  ])("for '$key'", ({ key, expected }) => {
    expect(suggestion(key, known)).toBe(expected);
  });

  test('for want of anything known is none', () => {
    expect(suggestion('a', [])).toBe('');
  });
});
