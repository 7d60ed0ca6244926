/** A document against a zod schema: its value with defaults, or every problem with its place. */

import type { z } from 'zod';
import { suggestion } from '../../../suggestion.ts';
import { describeProblem, type Located, MAX_PROBLEMS, type Problem, type ReadDocument } from './located.ts';

export type Checked<T> =
  | { readonly kind: 'value'; readonly value: T }
  | { readonly kind: 'problems'; readonly problems: readonly Problem[] };

export function checkSchema<Schema extends z.ZodType>(
  { content, locate }: Located,
  schema: Schema,
): Checked<z.output<Schema>> {
  const result = schema.safeParse(content);
  if (result.success) return { kind: 'value', value: result.data };
  const problems = result.error.issues.slice(0, MAX_PROBLEMS).map((issue): Problem => {
    const key = issue.code === 'unrecognized_keys' ? issue.keys[0] : undefined;
    const where = key === undefined ? issue.path : [...issue.path, key];
    const hint = key === undefined ? '' : suggestion(key, knownKeys(schema, issue.path));
    const subject = where.length === 0 ? 'the document' : where.join('.');
    return { ...locate(where), message: `${subject}: ${issue.message}${hint}` };
  });
  return { kind: 'problems', problems };
}

export type Parsed<T> =
  | { readonly kind: 'value'; readonly value: T; readonly locate: Located['locate'] }
  /** Each is `file:line:column: what is wrong`. */
  | { readonly kind: 'problems'; readonly problems: readonly string[] };

/** @param file whose text was read */
export function checkDocument<Schema extends z.ZodType>(
  read: ReadDocument,
  file: string,
  schema: Schema,
): Parsed<z.output<Schema>> {
  const describe = (problems: readonly Problem[]): Parsed<never> => {
    return { kind: 'problems', problems: problems.map((problem) => describeProblem(file, problem)) };
  };
  if (read.kind === 'problems') return describe(read.problems);
  const checked = checkSchema(read.document, schema);
  return checked.kind === 'value' ? { ...checked, locate: read.document.locate } : describe(checked.problems);
}

/** The keys of the object schema at `path`, looking through optional and default wrappers. */
function knownKeys(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  let current: unknown = unwrap(schema);
  for (const step of path) {
    const definition = definitionOf(current);
    current = unwrap(
      typeof step === 'number' ? definition['element'] : (definition['shape'] as Record<PropertyKey, unknown>)?.[step],
    );
  }
  const shape = definitionOf(current)['shape'];
  return typeof shape === 'object' && shape !== null ? Object.keys(shape) : [];
}

function unwrap(schema: unknown): unknown {
  let current = schema;
  for (let inner = definitionOf(current)['innerType']; inner !== undefined; inner = definitionOf(current)['innerType'])
    current = inner;
  return current;
}

function definitionOf(schema: unknown): Record<string, unknown> {
  return (schema as { def?: Record<string, unknown> } | undefined)?.def ?? {};
}
