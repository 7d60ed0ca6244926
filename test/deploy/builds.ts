/** Builds of deploy/istio, and builds with something changed. */

import fs from 'node:fs';
import path from 'node:path';
import { Build, kustomize, parseBuild } from '../../deploy/lint/build.ts';
import type { KubeObject } from '../../deploy/lint/kinds.ts';
import { kubectl } from '../tools/tools.ts';

export const ISTIO = path.join(import.meta.dirname, '../../deploy/istio');
export const OVERLAYS: readonly string[] = fs.readdirSync(path.join(ISTIO, 'overlays')).sort();

/** `undefined`: the tests that need it say that they are skipped. */
export const KUBECTL = kubectl();

const texts = new Map<string, string>();

export function overlay(name: string): Build {
  const text = texts.get(name) ?? kustomize(path.join(ISTIO, 'overlays', name), KUBECTL ?? 'kubectl');
  texts.set(name, text);
  return parseBuild(text, name);
}

/** One change of one object: `at` is a JSON pointer. Without a `value` the field is removed; `-` at the end appends. */
export interface Change {
  /** Such as `VirtualService/tensorgate`. */
  readonly object: string;
  readonly at?: string;
  readonly value?: unknown;
}

/** The build of an overlay with these changes. Without `at`, the object goes. */
export function changed(name: string, changes: readonly Change[], added: readonly KubeObject[] = []): Build {
  let objects = structuredClone(overlay(name).objects);
  for (const { object: wanted, at, value } of changes) {
    // A generated ConfigMap has a hash behind its name.
    const object = objects.find(
      ({ kind, metadata }) => `${kind}/${metadata.name.replace(/-[0-9a-z]{10}$/, '')}` === wanted,
    );
    if (object === undefined) throw new Error(`there is no ${wanted} in ${name}`);
    if (at === undefined) objects = objects.filter((other) => other !== object);
    else change(object, at, value);
  }
  return new Build([...objects, ...added]);
}

function change(object: KubeObject, at: string, value: unknown): void {
  const keys = at.split('/').map((key) => key.replaceAll('~1', '/'));
  const last = keys.pop() ?? '';
  let place: unknown = object;
  for (const key of keys) place = Reflect.get(Object(place), key);
  if (typeof place !== 'object' || place === null) throw new Error(`there is nothing at ${at} of ${object.kind}`);
  if (Array.isArray(place) && last === '-') place.push(value);
  else if (value !== undefined) Reflect.set(place, last, value);
  else if (Array.isArray(place)) place.splice(Number(last), 1);
  else if (!Reflect.has(place, last)) throw new Error(`there is nothing at ${at} of ${object.kind}`);
  else Reflect.deleteProperty(place, last);
}
