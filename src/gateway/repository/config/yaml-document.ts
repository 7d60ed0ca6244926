/** A YAML (or JSON, which is YAML) file checked against a schema, with problems that say where. */

import {
  Composer,
  type CST,
  type Document,
  isNode,
  isScalar,
  Lexer,
  LineCounter,
  Parser,
  parseDocument,
  visit,
  type YAMLMap,
} from 'yaml';
import type { z } from 'zod';
import { messageOf } from '../../../error-message.ts';
import { type Located, MAX_PROBLEMS, type ReadDocument } from './located.ts';
import { checkDocument, type Parsed } from './schema-check.ts';

export function parseYaml<Schema extends z.ZodType>(
  text: string,
  filePath: string,
  schema: Schema,
): Parsed<z.output<Schema>> {
  return checkDocument(readYaml(text), filePath, schema);
}

/**
 * Limits of a text. The library takes some 5 us a token, and ends the process's patience far later: a thousand models with
 * a configuration of a thousand tokens each are one thing, one text of a million is another.
 */
const MAX_LENGTH = 1024 * 1024;
const MAX_TOKENS = 50_000;
const MAX_DEPTH = 64;

/** Without a schema. An empty text is an empty object. Takes time in proportion to the length of the text. */
export function readYaml(text: string): ReadDocument {
  const excess = excessOf(text);
  if (excess !== undefined) return { kind: 'problems', problems: [{ line: 1, column: 1, message: excess }] };
  const lines = new LineCounter();
  const at = (offset: number): { line: number; column: number } => {
    const { line, col } = lines.linePos(offset);
    return { line, column: col };
  };
  try {
    const document = composed(text, lines);
    const problems = [
      ...document.errors.map(({ pos, message }) => ({ offset: pos[0], message })),
      ...keyProblems(document),
    ];
    if (problems.length > 0) {
      const shown = problems.slice(0, MAX_PROBLEMS).map(({ offset, message }) => ({ ...at(offset), message }));
      return { kind: 'problems', problems: shown };
    }
    const locate: Located['locate'] = (path) => {
      for (let length = path.length; length > 0; length--) {
        const node = document.getIn(path.slice(0, length), true);
        if (isNode(node) && node.range) return at(node.range[0]);
      }
      return at(0);
    };
    return { kind: 'document', document: { content: document.toJS() ?? {}, locate } };
  } catch (error) {
    // An alias of nothing, aliases of aliases without end, or a nesting that is too deep.
    const message = messageOf(error);
    return { kind: 'problems', problems: [{ ...at(0), message }] };
  }
}

/** @returns the count that exceeds its limit, found before any node is made */
function excessOf(text: string): string | undefined {
  if (text.length > MAX_LENGTH) return `the text has ${text.length} characters; at most ${MAX_LENGTH} are read`;
  let tokens = 0;
  for (const _ of new Lexer().lex(text)) {
    tokens++;
    if (tokens > MAX_TOKENS) return `the text has more than ${MAX_TOKENS} tokens, which are all that is read`;
  }
  return undefined;
}

/** The first document. The library's own check that keys differ compares each key with all before it: `keyProblems` is ours. */
function composed(text: string, lines: LineCounter): Document.Parsed {
  const composer = new Composer({ lineCounter: lines, prettyErrors: false, uniqueKeys: false });
  const tokens = [...new Parser(lines.addNewLine).parse(text)];
  if (isDeep(tokens)) throw new Error(`lists and maps are nested deeper than ${MAX_DEPTH}`);
  const [document, second] = composer.compose(tokens, true, text.length);
  if (document === undefined) throw new Error('there is no document');
  if (second !== undefined) throw new Error('there is more than one document: keep one');
  return document as Document.Parsed;
}

/** The library composes nodes by recursion, and takes quadratic time for keys within keys. */
function isDeep(tokens: readonly CST.Token[]): boolean {
  let level: readonly CST.Token[] = tokens;
  for (let depth = 0; depth <= MAX_DEPTH; depth++) {
    if (level.length === 0) return false;
    level = level.flatMap(within);
  }
  return level.length > 0;
}

function within(token: CST.Token): CST.Token[] {
  if ('items' in token) return token.items.flatMap(({ key, value }) => [key, value].filter((part) => part != null));
  return token.type === 'document' && token.value !== undefined ? [token.value] : [];
}

/** Rejects repeated keys, and keys that are lists or maps: the library would turn those into texts in quadratic time. */
function keyProblems(document: Document.Parsed): { readonly offset: number; readonly message: string }[] {
  const problems: { offset: number; message: string }[] = [];
  visit(document, {
    Map(_, map: YAMLMap) {
      const seen = new Set<unknown>();
      for (const { key } of map.items) {
        const offset = isNode(key) ? (key.range?.[0] ?? 0) : 0;
        const value = isScalar(key) ? key.value : key;
        const isPlain = !isNode(value) && (typeof value !== 'object' || value === null);
        if (!isPlain) problems.push({ offset, message: 'a key is a list, a map or an alias; expected a text' });
        else if (seen.has(String(value))) problems.push({ offset, message: 'Map keys must be unique' });
        seen.add(String(value));
      }
    },
  });
  return problems;
}

/**
 * Sets `value` at `path` in the text and keeps everything except that value, comments too.
 * @throws Error if a parent on `path` exists and holds no fields
 */
export function editYaml(text: string, path: readonly string[], value: unknown): string {
  const document = parseDocument(text);
  const [problem] = document.errors;
  if (problem !== undefined) throw new Error(problem.message);
  document.setIn(path, document.createNode(value));
  return document.toString({ lineWidth: 0 });
}
