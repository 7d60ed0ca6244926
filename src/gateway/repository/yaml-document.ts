/** A YAML (or JSON, which is YAML) file checked against a schema, with problems that say where. */

import { isNode, LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import { describeProblem, type Located, type Problem } from './located.ts';
import { checkSchema } from './schema-check.ts';

export type Parsed<T> =
  | { readonly kind: 'value'; readonly value: T }
  /** Each is `file:line:column: what is wrong`. */
  | { readonly kind: 'problems'; readonly problems: readonly string[] };

export function parseYaml<Schema extends z.ZodType>(
  text: string,
  filePath: string,
  schema: Schema,
): Parsed<z.output<Schema>> {
  const read = readYaml(text);
  const checked = read.kind === 'document' ? checkSchema(read.document, schema) : read;
  if (checked.kind === 'value') return checked;
  return { kind: 'problems', problems: checked.problems.map((problem) => describeProblem(filePath, problem)) };
}

/** Without a schema. An empty text is an empty object. */
export function readYaml(
  text: string,
):
  | { readonly kind: 'document'; readonly document: Located }
  | { readonly kind: 'problems'; readonly problems: readonly Problem[] } {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const at = (offset: number): { line: number; column: number } => {
    const { line, col } = lines.linePos(offset);
    return { line, column: col };
  };
  if (document.errors.length > 0) {
    const problems = document.errors.map(({ pos, message }) => ({ ...at(pos[0]), message }));
    return { kind: 'problems', problems };
  }
  const locate: Located['locate'] = (path) => {
    for (let length = path.length; length > 0; length--) {
      const node = document.getIn(path.slice(0, length), true);
      if (isNode(node) && node.range) return at(node.range[0]);
    }
    return at(0);
  };
  try {
    return { kind: 'document', document: { content: document.toJS() ?? {}, locate } };
  } catch (error) {
    // An alias of nothing, or aliases of aliases without end.
    const message = error instanceof Error ? error.message : String(error);
    return { kind: 'problems', problems: [{ ...at(0), message }] };
  }
}

/**
 * The text with `value` at `path`, and all else as it was, comments too.
 * @throws Error where something on the way to `path` is there and holds no fields
 */
export function editYaml(text: string, path: readonly string[], value: unknown): string {
  const document = parseDocument(text);
  const [problem] = document.errors;
  if (problem !== undefined) throw new Error(problem.message);
  document.setIn(path, document.createNode(value));
  return document.toString({ lineWidth: 0 });
}
