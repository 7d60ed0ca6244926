/** Doc comments match the code below them. TypeScript's own parser reads both, so that strings and nested code cannot mislead it. */

import fs from 'node:fs';
import path from 'node:path';
import {
  isBindingElement,
  isBlock,
  isClassDeclaration,
  isIdentifier,
  isJSDoc,
  isJSDocParameterTag,
  isParameterDeclaration,
  type Node,
} from 'typescript/unstable/ast';
import { API } from 'typescript/unstable/sync';
import { beforeAll, expect, test } from 'vitest';

const ROOT = path.join(import.meta.dirname, '..');
const FOLDERS = ['src', 'test', 'bench', 'deploy', 'examples'];

/** A doc comment: file and line, and the code below it. */
interface Documented {
  readonly place: string;
  readonly node: Node;
  readonly comments: readonly Node[];
}

let documented: readonly Documented[];

beforeAll(() => {
  const api = new API({ cwd: ROOT });
  try {
    const [project] = api.updateSnapshot({ openProject: path.join(ROOT, 'tsconfig.json') }).getProjects();
    const names = FOLDERS.flatMap((folder) =>
      fs
        .readdirSync(path.join(ROOT, folder), { recursive: true, encoding: 'utf8' })
        .map((name) => path.join(folder, name)),
    );
    documented = names.flatMap((name) => {
      if (!name.endsWith('.ts') || name.includes('node_modules')) return [];
      const source = project?.program.getSourceFile(path.join(ROOT, name));
      return source === undefined ? [] : documentedIn(source, name);
    });
  } finally {
    api.close();
  }
}, 120_000);

function documentedIn(source: Node & { readonly text: string }, name: string): Documented[] {
  const found: Documented[] = [];
  const visit = (node: Node): void => {
    const comments = (node.jsDoc ?? []).filter(isJSDoc);
    const [first] = comments;
    if (first !== undefined) {
      const line = source.text.slice(0, first.pos).split('\n').length;
      found.push({ place: `${name}:${line}`, node, comments });
    }
    node.forEachChild(visit);
  };
  visit(source);
  return found;
}

/** The names of a function's parameters, and of what they are destructured into. Bodies have parameters of their own. */
function parametersOf(node: Node, names = new Set<string>()): ReadonlySet<string> {
  if (isBlock(node) || isClassDeclaration(node)) return names;
  if (isParameterDeclaration(node) || isBindingElement(node)) {
    if (node.name !== undefined && isIdentifier(node.name)) names.add(node.name.text);
  }
  node.forEachChild((child) => {
    parametersOf(child, names);
  });
  return names;
}

test('there are doc comments to check', () => {
  expect(documented.length).toBeGreaterThan(1_000);
});

test('every @param names a parameter', () => {
  const stale = documented.flatMap(({ place, node, comments }) => {
    const tags = comments.flatMap((comment) => (isJSDoc(comment) ? [...(comment.tags ?? [])] : []));
    const said = tags.filter(isJSDocParameterTag).map(({ name }) => (isIdentifier(name) ? name.text : name.getText()));
    if (said.length === 0) return [];
    const names = parametersOf(node);
    return said.filter((name) => !names.has(name.replace(/\..*/, ''))).map((name) => `${place}: @param ${name}`);
  });
  expect(stale).toEqual([]);
});

test('no declaration has two doc comments: the first belongs to something that is gone', () => {
  const orphans = documented.filter(({ node, comments }) => {
    // The head of a file stands before its first statement.
    const heads = node.pos === 0 ? 1 : 0;
    return comments.length > 1 + heads;
  });
  expect(orphans.map(({ place }) => place)).toEqual([]);
});
