/** What the pages claim of settings and of Triton's fields, held to the schemas that decide it. */

import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { modelConfigSchema } from '../../src/gateway/repository/config/config-schema.ts';

const DOCS = path.join(import.meta.dirname, '../../docs');
const PAGES = new Map(
  fs
    .readdirSync(DOCS)
    .filter((name) => name.endsWith('.md'))
    .map((name) => [name, fs.readFileSync(path.join(DOCS, name), 'utf8')]),
);

function page(name: string): string {
  return PAGES.get(name) ?? '';
}

/** The names in code on a line. */
function codeOf(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name);
}

interface Schema {
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
}

const CONFIG = modelConfigSchema() as Schema;

/** The names of the fields, at any depth, whose description begins so. */
function fieldsDescribed(beginning: string): Set<string> {
  const found = new Set<string>();
  const visit = (schema: unknown): void => {
    if (typeof schema !== 'object' || schema === null) return;
    const { properties = {} } = schema as Schema;
    for (const [name, field] of Object.entries(properties)) {
      if (field.description?.startsWith(beginning)) found.add(name);
    }
    for (const value of Object.values(schema)) visit(value);
  };
  visit(CONFIG);
  return found;
}

const WARNED = fieldsDescribed('No effect here');
const REFUSED = fieldsDescribed('Refused');

/** The rows of a page's tables that name a field in code, by itself or as the last part of a path. */
function rowsNaming(text: string, field: string): string[] {
  const named = (name: string): boolean => name === field || name.endsWith(`.${field}`);
  return text.split('\n').filter((line) => line.startsWith('|') && codeOf(line).some(named));
}

test('the schema has fields without effect, and refused ones', () => {
  expect(WARNED.size).toBeGreaterThan(10);
  expect(REFUSED.size).toBeGreaterThan(5);
});

test.each([...WARNED])('docs/models.md says that %s is only a warning', (field) => {
  expect(rowsNaming(page('models.md'), field).join('\n')).toContain('warning');
});

test.each([...REFUSED])('docs/models.md says that %s is refused', (field) => {
  expect(rowsNaming(page('models.md'), field).join('\n')).toContain('refused');
});

test('docs/features.md says of a field what the schema says', () => {
  const wrong = [
    ...[...WARNED].flatMap((field) => rowsNaming(page('features.md'), field).filter((row) => !row.includes('warning'))),
    ...[...REFUSED].flatMap((field) =>
      rowsNaming(page('features.md'), field).filter((row) => !row.includes('refused')),
    ),
  ];
  expect(wrong).toEqual([]);
});

test('docs/features.md names only flags that exist', () => {
  const flags = codeOf(page('features.md')).flatMap((name) => /^--[a-z0-9-]+/.exec(name)?.[0] ?? []);
  expect(flags.length).toBeGreaterThan(5);
  expect(flags.filter((flag) => !page('configuration.md').includes(flag))).toEqual([]);
});

/** The fields of the section `tensorgate` of a configuration. */
const OURS = Object.keys(CONFIG.properties?.['tensorgate']?.properties ?? {});

test('the pages name only fields of the section tensorgate that exist', () => {
  const unknown = [...PAGES].flatMap(([name, text]) =>
    codeOf(text).flatMap((code) => {
      const field = /^tensorgate\.([a-z_]+)(?=$|[.:[])/.exec(code)?.[1];
      const isAttribute =
        name === 'observability.md' || /^tensorgate\.v1|\.svc\./.test(code) || /\.(ya?ml|ts)$/.test(code);
      return field === undefined || isAttribute || OURS.includes(field) ? [] : [`${name}: ${code}`];
    }),
  );
  expect(unknown).toEqual([]);
});

test.each(OURS)('a page says what tensorgate.%s does', (field) => {
  const texts = [...PAGES.values()].join('\n');
  expect(texts).toMatch(new RegExp(`\\b${field}\\b`));
});
