/** Many builds as one tree, whose parts have conditions where not all builds have them. */

import { type Choices, choiceOf, choicesOf, DIMENSIONS, type Dimension } from './variants.ts';

/** A value under some choices. */
export interface Case {
  readonly choices: Choices;
  readonly value: unknown;
}

/** A part of the tree; without a condition, it is there whenever its parent is. */
export interface Conditional {
  readonly condition: string | undefined;
  readonly node: Node;
}

export type Node =
  | { readonly kind: 'scalar'; readonly value: unknown }
  | { readonly kind: 'map'; readonly entries: readonly (Conditional & { readonly key: string })[] }
  | { readonly kind: 'list'; readonly items: readonly Conditional[] }
  /** The last option holds if no other does. */
  | { readonly kind: 'choice'; readonly options: readonly Conditional[] };

/** @throws Error if no condition separates the builds */
export function merge(cases: readonly Case[]): Node {
  const values = cases.map(({ value }) => value);
  if (values.every(isMap)) return mergeMaps(cases);
  if (values.every(Array.isArray)) return mergeLists(cases);
  const groups = Map.groupBy(cases, ({ value }) => JSON.stringify(value));
  if (groups.size === 1) return { kind: 'scalar', value: values[0] };
  const options = [...groups.values()].map((group) => ({ condition: conditionOf(group, cases), node: merge(group) }));
  return { kind: 'choice', options };
}

/** The condition under which a part is there, among the choices of its parent; `undefined`: always. */
export function conditionOf(group: readonly Case[], all: readonly Case[]): string | undefined {
  if (group.length === all.length) return undefined;
  const names = Object.keys(DIMENSIONS) as Dimension[];
  const tests = names.flatMap((name) => testsOf(name, all));
  const chosen = new Set(group.map(({ choices }) => choices));
  const holds = (...conjunction: readonly Test[]): boolean =>
    all.every(
      ({ choices }) => conjunction.every((test) => test.values.has(choices[test.name])) === chosen.has(choices),
    );
  for (const test of tests) if (holds(test)) return test.condition;
  for (const one of tests) {
    for (const other of tests) if (holds(one, other)) return `and (${one.condition}) (${other.condition})`;
  }
  throw new Error(`no condition leads to ${JSON.stringify(group[0]?.value)}`);
}

interface Test {
  readonly name: Dimension;
  readonly values: ReadonlySet<string>;
  readonly condition: string;
}

/** One choice of the dimension, or all but one; choices that these cases have. */
function testsOf(name: Dimension, cases: readonly Case[]): Test[] {
  const present = choicesOf(name).filter((choice) => cases.some(({ choices }) => choices[name] === choice));
  const condition = (choice: string): string => choiceOf(name, choice).condition;
  const single = present.map((choice) => ({ name, values: new Set([choice]), condition: condition(choice) }));
  const others = present.map((choice) => ({
    name,
    values: new Set(present.filter((other) => other !== choice)),
    condition: negated(condition(choice)),
  }));
  return [...single, ...(present.length > 2 ? others : [])];
}

function negated(condition: string): string {
  return condition.startsWith('eq ') ? condition.replace('eq ', 'ne ') : `not (${condition})`;
}

/** As people write them; kustomize sorts keys. The first key of an item also carries its dash, so it has no condition. */
const FIRST_KEYS: readonly string[] = ['apiVersion', 'kind', 'name', 'metadata'];

function mergeMaps(cases: readonly Case[]): Node {
  const present = new Set(cases.flatMap(({ value }) => Object.keys(value as object)));
  const keys = [
    ...FIRST_KEYS.filter((key) => present.has(key)),
    ...[...present].filter((key) => !FIRST_KEYS.includes(key)),
  ];
  const entries = keys.map((key) => ({
    key,
    ...part(cases, (value) => new Map(Object.entries(value as object)).get(key)),
  }));
  return { kind: 'map', entries };
}

/** Items with the same name are the same item; items without a name are the same if they are equal. */
function mergeLists(cases: readonly Case[]): Node {
  const keys: string[] = [];
  for (const { value } of cases) {
    let position = 0;
    for (const key of (value as readonly unknown[]).map(identityOf)) {
      const known = keys.indexOf(key);
      if (known < 0) keys.splice(position, 0, key);
      position = (known < 0 ? position : known) + 1;
    }
  }
  const items = keys.map((key) =>
    part(cases, (value) => (value as readonly unknown[]).find((item) => identityOf(item) === key)),
  );
  return { kind: 'list', items };
}

function part(cases: readonly Case[], of: (value: unknown) => unknown): Conditional {
  const group = cases
    .map(({ choices, value }) => ({ choices, value: of(value) }))
    .filter(({ value }) => value !== undefined);
  return { condition: conditionOf(group, cases), node: merge(group) };
}

function identityOf(item: unknown): string {
  return isMap(item) && typeof item['name'] === 'string' ? item['name'] : JSON.stringify(item);
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
