import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { parseJson, readJson } from '../../../../src/gateway/repository/config/json-document.ts';

const SCHEMA = z.strictObject({
  size: z.int().min(1),
  list: z.array(z.strictObject({ name: z.string() })).optional(),
});

function problemsOf(text: string): readonly string[] {
  const parsed = parseJson(text, 'f', SCHEMA);
  return parsed.kind === 'problems' ? parsed.problems : [];
}

test('a document that fits is its value', () => {
  expect(parseJson('{"size": 4, "list": [{"name": "ä"}]}', 'f', SCHEMA)).toMatchObject({
    kind: 'value',
    value: { size: 4, list: [{ name: 'ä' }] },
  });
});

test('a key such as __proto__ is a key, and changes no prototype', () => {
  const read = readJson('{"__proto__": {"size": 1}}');
  const content = read.kind === 'document' ? read.document.content : undefined;
  expect(Object.keys(content as object)).toEqual(['__proto__']);
  expect(Object.getPrototypeOf(content)).toBe(Object.prototype);
});

describe('a problem says where it is', () => {
  test.each([
    { name: 'a value', text: '{"size": 0}', problem: /^f:1:10: size: / },
    { name: 'a value on a later line', text: '{\n  "size": 1,\n  "list": 3\n}', problem: /^f:3:11: list: / },
    {
      name: 'an item behind characters of several bytes',
      text: '{"size":1,"list":[{"name":"äöü"},{"name":3}]}',
      problem: /^f:1:42: list\.1\.name/,
    },
    { name: 'an unknown key', text: '{"size": 1, "lits": []}', problem: /^f:1:21: .*did you mean 'list'\?$/ },
    { name: 'a field that is missing', text: '{"list": []}', problem: /^f:1:1: size: / },
    {
      name: 'a key that stands twice',
      text: '{"size": 1,\n"size": 2}',
      problem: /^f:2:9: the key 'size' stands twice/,
    },
    { name: 'a key that stands twice further in', text: '{"list": [{"a": 1, "a": 1}]}', problem: /^f:1:25: / },
    { name: 'what is no JSON', text: '{"size": 1,}', problem: /^f:1:12: / },
    { name: 'YAML', text: 'size: 1', problem: /^f:1:1: / },
    { name: 'a comment', text: '{"size": 1} # one', problem: /^f:1:13: / },
    { name: 'a text that is cut', text: '{"size": 1', problem: /^f:1:11: / },
    { name: 'nothing', text: '', problem: /^f:1:1: / },
  ])('$name', ({ text, problem }) => {
    expect(problemsOf(text).join('\n')).toMatch(problem);
  });
});

describe('what costs more than a configuration may is refused', () => {
  test.each([
    { name: 'values', text: `[${'1,'.repeat(30_000)}1]`, problem: /more than 20000 values/ },
    { name: 'levels', text: '['.repeat(500_000), problem: /more than 64 nested values/ },
    { name: 'bytes', text: `{"size": 1}${' '.repeat(2 ** 20)}`, problem: /more than 1048576 bytes/ },
  ])('too many $name', ({ text, problem }) => {
    expect(problemsOf(text)).toEqual([expect.stringMatching(problem)]);
  });
});
