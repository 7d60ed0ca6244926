import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseModelConfig } from '../../../../src/gateway/repository/config/config-file.ts';
import { originsIn } from '../../../../src/gateway/repository/config/config-origins.ts';
import { readYaml } from '../../../../src/gateway/repository/config/yaml-document.ts';

/** Names that a plain object treats in a special way are names like others. */
const NAME = fc.constantFrom('a', 'b', 'constructor', '__proto__', 'toString', 'long_name');

test('every field of a file has the line on which its value stands, whatever its name is', () => {
  fc.assert(
    fc.property(fc.uniqueArray(NAME, { minLength: 1 }), fc.uniqueArray(NAME, { minLength: 1 }), (fields, inner) => {
      const lines = [...fields.map((name) => `${name}: 1`), 'section:', ...inner.map((name) => `  ${name}: 2`)];
      const read = readYaml(lines.join('\n'));
      if (read.kind === 'problems') throw new Error(read.problems.map(({ message }) => message).join());
      const origins = originsIn(read.document, 'f');
      for (const [at, name] of fields.entries()) {
        expect(origins.get(name)).toBe(`f:${at + 1}:${name.length + 3}`);
      }
      for (const [at, name] of inner.entries()) {
        expect(origins.get(`section.${name}`)).toBe(`f:${fields.length + at + 2}:${name.length + 5}`);
      }
      expect(origins.size).toBe(fields.length + inner.length + 1);
    }),
  );
});

test('defaults of the schema and of Triton have no origin', () => {
  const { origins } = parseModelConfig({ text: 'max_batch_size: 4', name: 'config.pbtxt', form: 'pbtxt' }, 'm');
  expect([...origins.keys()]).toEqual(['max_batch_size']);
});

test('a text with very many fields keeps a bounded number of origins', () => {
  const text = Array.from({ length: 5_000 }, (_, index) => `f${index}: ${index}`).join('\n');
  const read = readYaml(text);
  expect(read.kind === 'document' && originsIn(read.document, 'f').size).toBeLessThan(1_000);
});
