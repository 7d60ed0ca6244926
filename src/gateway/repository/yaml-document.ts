/** A YAML (or JSON, which is YAML) file checked against a schema, with problems that say where. */

import { isNode, LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';

export type Parsed<T> =
  | { readonly kind: 'value'; readonly value: T }
  /** Each is `file:line:column: what is wrong`. */
  | { readonly kind: 'problems'; readonly problems: readonly string[] };

export function parseYaml<Schema extends z.ZodType>(
  text: string,
  filePath: string,
  schema: Schema,
): Parsed<z.output<Schema>> {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${filePath}:${line}:${col}`;
  };
  if (document.errors.length > 0) {
    return { kind: 'problems', problems: document.errors.map((error) => `${at(error.pos[0])}: ${error.message}`) };
  }
  let content: unknown;
  try {
    content = document.toJS() ?? {};
  } catch (error) {
    // An alias of nothing, or aliases of aliases without end.
    return { kind: 'problems', problems: [`${at(0)}: ${error instanceof Error ? error.message : String(error)}`] };
  }
  const result = schema.safeParse(content);
  if (result.success) return { kind: 'value', value: result.data };
  const problems = result.error.issues.map((issue) => {
    const key = issue.code === 'unrecognized_keys' ? issue.keys[0] : undefined;
    const where = key === undefined ? issue.path : [...issue.path, key];
    const node = document.getIn(where, true);
    const offset = isNode(node) && node.range ? node.range[0] : 0;
    const hint = key === undefined ? '' : suggestion(key, knownKeys(schema, issue.path));
    return `${at(offset)}: ${where.join('.')}: ${issue.message}${hint}`;
  });
  return { kind: 'problems', problems };
}

/** `; did you mean 'x'?` for the nearest of `known`, or their list where none is near. */
export function suggestion(key: string, known: readonly string[]): string {
  const near = known
    .map((candidate) => ({ candidate, distance: editDistance(key, candidate) }))
    .sort((a, b) => a.distance - b.distance)[0];
  if (near !== undefined && near.distance <= Math.max(2, key.length / 3)) return `; did you mean '${near.candidate}'?`;
  return known.length === 0 ? '' : `; known are ${known.join(', ')}`;
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

/** Levenshtein's distance: insertions, deletions and replacements that make one text the other. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(replaced, (previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}
