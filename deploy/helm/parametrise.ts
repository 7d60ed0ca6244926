/** The objects of a build with values of the chart in place of its examples. */

import { NAME_LABEL } from '../lint/build.ts';
import type { KubeObject } from '../lint/kinds.ts';
import { block } from './marks.ts';
import { renamed } from './names.ts';
import { CANARY_PARAMETERS, PARAMETERS, type Parameter } from './parameters.ts';
import type { Variant } from './variants.ts';

/** Applies the parameters, and remembers which of them found their field. */
export class Parametriser {
  readonly #unused = new Set<Parameter>([...PARAMETERS, ...CANARY_PARAMETERS]);

  /** The objects of a build by their names in `deploy/istio`, such as `Service/tensorgate`. */
  objectsOf({ choices, objects }: Variant): Map<string, unknown> {
    const parameters = [...PARAMETERS, ...(choices.canary === 'on' ? CANARY_PARAMETERS : [])];
    return new Map(
      objects.map(withoutHash).map((object) => {
        const id = `${object.kind}/${object.metadata.name}`;
        const own = parameters.filter((parameter) => parameter.object === id);
        return [id, this.#parametrised(object, own)];
      }),
    );
  }

  /** @throws Error if a parameter is about a field that no build has */
  checkAllUsed(): void {
    for (const { object, at } of this.#unused) throw new Error(`no build has ${at} in ${object}`);
  }

  #parametrised(object: KubeObject, parameters: readonly Parameter[]): unknown {
    const labels: Record<string, unknown> = { ...object.metadata.labels };
    const prepared = { ...object, metadata: { ...object.metadata, labels } };
    for (const parameter of parameters) if (set(prepared, parameter)) this.#unused.delete(parameter);
    delete labels[NAME_LABEL];
    labels[block('{{- include "tensorgate.labels" . | nindent @0 }}')] = true;
    return renamed(prepared);
  }
}

/** A copy whose ConfigMap has the name that `settings.env` gives it: kustomize adds a hash, the chart a checksum in the pods. */
function withoutHash(object: KubeObject): KubeObject {
  return JSON.parse(JSON.stringify(object).replaceAll(/"(tensorgate-settings)-[0-9a-z]{10}"/g, '"$1"'));
}

/** Returns whether the object has the place. */
function set(object: unknown, { at, value }: Parameter): boolean {
  const keys = at.split('/').map((key) => key.replaceAll('~1', '/'));
  const last = keys.pop() ?? '';
  let place: unknown = object;
  for (const key of keys) {
    place = step(place, key);
    if (place === undefined) return false;
  }
  if (Array.isArray(place)) {
    if (last.startsWith('+')) place.push(value);
    else if (place[Number(last)] === undefined) return false;
    else place[Number(last)] = value;
    return true;
  }
  const isNew = /^(\+|checksum\/|imagePullPolicy$)/.test(last);
  if (!isNew && Reflect.get(Object(place), last) === undefined) return false;
  return Reflect.set(Object(place), last.startsWith('+') ? value : last, last.startsWith('+') ? true : value);
}

function step(place: unknown, key: string): unknown {
  if (!Array.isArray(place)) {
    // Annotations are absent outside a mesh.
    if (key === 'annotations' && Reflect.get(Object(place), key) === undefined) Reflect.set(Object(place), key, {});
    return Reflect.get(Object(place), key);
  }
  return place.find((item: { readonly name?: string }) => item.name === key) ?? place[Number(key)];
}
