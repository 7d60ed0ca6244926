/**
 * The builds of `deploy/istio` that the chart can become. Each choice of `values.yaml` that adds or removes components is a dimension; the
 * builds cover each pair of choices.
 */

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { kustomize, parseBuild } from '../lint/build.ts';
import type { KubeObject } from '../lint/kinds.ts';

const ISTIO = path.join(import.meta.dirname, '../istio');

interface Choice {
  /** The condition of a Helm template under which values choose this. */
  readonly condition: string;
  readonly components: readonly string[];
}

/** The first choice of each dimension is the default. Components follow each other in this order, as they must in an overlay. */
export const DIMENSIONS = {
  canary: {
    off: { condition: 'not .Values.canary.enabled', components: [] },
    on: { condition: '.Values.canary.enabled', components: ['canary'] },
  },
  autoscaler: {
    off: { condition: 'eq (include "tensorgate.autoscaler" .) "off"', components: [] },
    hpa: { condition: 'eq (include "tensorgate.autoscaler" .) "hpa"', components: ['hpa'] },
    keda: { condition: 'eq (include "tensorgate.autoscaler" .) "keda"', components: ['keda'] },
  },
  control: {
    off: { condition: 'ne .Values.models.controlMode "explicit"', components: [] },
    explicit: { condition: 'eq .Values.models.controlMode "explicit"', components: ['model-control'] },
  },
  models: {
    image: { condition: 'eq .Values.models.source "image"', components: [] },
    copy: { condition: 'eq .Values.models.source "copy"', components: ['models-init'] },
    pvc: { condition: 'eq .Values.models.source "pvc"', components: ['models-pvc'] },
    uri: { condition: 'eq .Values.models.source "uri"', components: ['models-uri'] },
  },
  tls: {
    off: { condition: 'not .Values.tls.enabled', components: [] },
    on: { condition: '.Values.tls.enabled', components: ['tls'] },
  },
  mesh: {
    none: { condition: 'eq .Values.mesh.mode "none"', components: ['admin-port'] },
    sidecar: { condition: 'eq .Values.mesh.mode "sidecar"', components: ['istio-sidecar'] },
    ambient: { condition: 'eq .Values.mesh.mode "ambient"', components: ['istio-ambient'] },
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, Choice>>>>;

export type Dimension = keyof typeof DIMENSIONS;
export type Choices = Readonly<Record<Dimension, string>>;

const NAMES = Object.keys(DIMENSIONS) as Dimension[];
const DEFAULTS = Object.fromEntries(NAMES.map((name) => [name, choicesOf(name)[0]])) as Choices;

/** Traffic rules precede the components that patch them. */
const TRAFFIC: Readonly<Record<string, readonly string[]>> = {
  none: [],
  sidecar: ['istio-policy', 'route-virtualservice'],
  ambient: ['istio-policy', 'track-services', 'route-httproute'],
};

/** One build, and the choices that lead to it. */
export interface Variant {
  readonly choices: Choices;
  readonly objects: readonly KubeObject[];
}

export function choicesOf(dimension: Dimension): readonly string[] {
  return Object.keys(DIMENSIONS[dimension]);
}

export function choiceOf(dimension: Dimension, name: string): Choice {
  const choice = (DIMENSIONS[dimension] as Readonly<Record<string, Choice>>)[name];
  if (choice === undefined) throw new Error(`${dimension} cannot be ${name}`);
  return choice;
}

/** The components that these choices stand for, in the order in which an overlay lists them. */
function componentsOf(choices: Partial<Choices>): string[] {
  const all = { ...DEFAULTS, ...choices };
  const chosen = NAMES.flatMap((name) => choiceOf(name, all[name]).components);
  return [...(TRAFFIC[all.mesh] ?? []), 'monitoring', ...chosen];
}

/** The server's own TLS and a mesh exclude each other. */
function isLegal({ tls, mesh }: Choices): boolean {
  return tls === 'off' || mesh === 'none';
}

function pairs(): Choices[] {
  const all = new Map<string, Choices>();
  for (const one of NAMES) {
    for (const other of NAMES) {
      for (const first of choicesOf(one)) {
        for (const second of choicesOf(other)) {
          const choices = { ...DEFAULTS, [other]: second, [one]: first };
          if (isLegal(choices)) all.set(JSON.stringify(choices), choices);
        }
      }
    }
  }
  return [...all.values()];
}

/** @throws BuildError with what kustomize says */
export function build(choices: Partial<Choices>, kubectl: string): readonly KubeObject[] {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'tensorgate-chart-'));
  const from = (name: string): string => path.relative(directory, path.join(ISTIO, name));
  const lines = [
    'apiVersion: kustomize.config.k8s.io/v1beta1',
    'kind: Kustomization',
    `resources: [${from('base')}]`,
    'components:',
    ...componentsOf(choices).map((name) => `  - ${from(`components/${name}`)}`),
  ];
  try {
    fs.writeFileSync(path.join(directory, 'kustomization.yaml'), lines.join('\n'));
    return parseBuild(kustomize(directory, kubectl), JSON.stringify(choices)).objects;
  } finally {
    fs.rmSync(directory, { recursive: true });
  }
}

export function variants(kubectl: string): Variant[] {
  return pairs().map((choices) => ({ choices, objects: build(choices, kubectl) }));
}
