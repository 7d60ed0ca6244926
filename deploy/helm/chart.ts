/** The generated files of the chart: a template for each object, and the schema of its values. */

import { templateOf } from './emit.ts';
import { type Case, conditionOf, merge } from './merge.ts';
import { SWITCHES } from './parameters.ts';
import { Parametriser } from './parametrise.ts';
import { variants } from './variants.ts';

const HEADER = '{{- /* Generated from deploy/istio by `npm run chart`: do not edit. */ -}}\n';

/** Texts by file name. @throws BuildError with what kustomize says */
export function chartTemplates(kubectl: string): Map<string, string> {
  const parametriser = new Parametriser();
  const all: Case[] = [];
  const objects = new Map<string, Case[]>();
  for (const variant of variants(kubectl)) {
    all.push({ choices: variant.choices, value: undefined });
    for (const [id, value] of parametriser.objectsOf(variant)) {
      const cases = objects.get(id) ?? [];
      objects.set(id, cases);
      cases.push({ choices: variant.choices, value });
    }
  }
  parametriser.checkAllUsed();
  return new Map([...objects].map(([id, cases]) => [fileOf(id), template(id, cases, all)]));
}

function template(id: string, cases: readonly Case[], all: readonly Case[]): string {
  const conditions = [conditionOf(cases, all), SWITCHES[id]].filter((condition) => condition !== undefined);
  const body = templateOf(merge(cases));
  const opening = conditions.map((condition) => `{{- if ${condition} }}\n`).join('');
  return `${HEADER}${opening}${body}${'{{- end }}\n'.repeat(conditions.length)}`;
}

/** `ConfigMap/tensorgate-settings` is in `configmap-settings.yaml`. */
function fileOf(id: string): string {
  const [kind = '', name = ''] = id.split('/');
  const suffix = name.replace(/^tensorgate-?/, '');
  return `${[kind.toLowerCase(), suffix].filter((part) => part !== '').join('-')}.yaml`;
}
