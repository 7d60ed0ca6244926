/** What a kustomization comes to: the objects that `kubectl apply -k` would send. */

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { Settings } from '../../src/gateway/ops/settings.ts';
import { SettingsError } from '../../src/gateway/ops/settings-error.ts';
import { loadSettings } from '../../src/gateway/ops/settings-loading.ts';
import type { Deployment, DestinationRule, Kinds, KubeObject, Labels, PodSpec, Selector } from './kinds.ts';

/** By this label policies find the pods of the gateway: see `base/workload/deployment.yaml`. */
export const NAME_LABEL = 'app.kubernetes.io/name';
export const NAME = 'tensorgate';

/** Who sees what pods say to each other. */
export type DataPlane = 'none' | 'sidecar' | 'ambient';

/** Pods that one object makes. */
export interface Workload {
  readonly object: KubeObject;
  readonly labels: Labels;
  readonly pod: PodSpec;
}

/** The build could not be made, or is none. */
export class BuildError extends Error {}

export class Build {
  readonly objects: readonly KubeObject[];

  constructor(objects: readonly KubeObject[]) {
    this.objects = objects;
  }

  of<Kind extends keyof Kinds>(kind: Kind): readonly Kinds[Kind][] {
    return this.objects.filter((object) => object.kind === kind) as unknown as Kinds[Kind][];
  }

  /** Deployments of the gateway, whatever their track. */
  get deployments(): readonly Deployment[] {
    return this.of('Deployment').filter(({ metadata }) => metadata.labels?.[NAME_LABEL] === NAME);
  }

  get workloads(): readonly Workload[] {
    return this.deployments.map((object) => ({
      object,
      labels: object.spec.template.metadata?.labels ?? {},
      pod: object.spec.template.spec,
    }));
  }

  /** DestinationRules for hosts of the gateway; the picker of an InferencePool has its own. */
  get destinationRules(): readonly DestinationRule[] {
    const others = this.of('Service').filter(({ metadata }) => metadata.labels?.[NAME_LABEL] !== NAME);
    const hosts = new Set(others.map(({ metadata }) => hostOf(metadata.name, metadata.namespace)));
    return this.of('DestinationRule').filter(({ spec }) => !hosts.has(spec.host));
  }

  get dataPlanes(): ReadonlySet<DataPlane> {
    return new Set(this.workloads.map(({ labels }) => planeOf(labels)));
  }

  /** Whole names of the Services that will be there: Services of the build, and Services that Flagger makes. */
  get hosts(): ReadonlySet<string> {
    const own = this.of('Service').map(({ metadata }) => hostOf(metadata.name, metadata.namespace));
    const made = this.of('Canary').flatMap(({ metadata, spec }) => {
      const name = spec.service.name ?? spec.targetRef.name;
      return [name, `${name}-primary`, `${name}-canary`].map((each) => hostOf(each, metadata.namespace));
    });
    return new Set([...own, ...made]);
  }

  /** The settings that a pod's gateway would come up with, or why it would refuse to start. */
  settingsOf({ pod }: Workload): Settings | SettingsError {
    const container = pod.containers.find(({ name }) => name === NAME);
    const maps = new Map(this.of('ConfigMap').map(({ metadata, data }) => [metadata.name, data ?? {}]));
    const env: Record<string, string> = {};
    for (const { configMapRef } of container?.envFrom ?? []) {
      const data = configMapRef === undefined ? {} : maps.get(configMapRef.name);
      if (data === undefined) return new SettingsError([`there is no ConfigMap ${configMapRef?.name}`]);
      Object.assign(env, data);
    }
    for (const { name, value } of container?.env ?? []) env[name] = value ?? '';
    try {
      // No file: the working directory of the image has none.
      return loadSettings({ flags: {}, env, cwd: '/nonexistent' });
    } catch (error) {
      if (error instanceof SettingsError) return error;
      throw error;
    }
  }
}

/** The data plane of pods with these labels. */
export function planeOf(labels: Labels): DataPlane {
  if (labels['istio.io/dataplane-mode'] === 'ambient') return 'ambient';
  return labels['sidecar.istio.io/inject'] === 'true' ? 'sidecar' : 'none';
}

export function hostOf(service: string, namespace = 'default'): string {
  return `${service}.${namespace}.svc.cluster.local`;
}

/** Whether a selector chooses what has these labels; one that selects by nothing chooses everything. */
export function selects(selector: Selector | undefined, labels: Labels): boolean {
  return Object.entries(selector?.matchLabels ?? {}).every(([name, value]) => labels[name] === value);
}

/**
 * Reads a build: a directory with a `kustomization.yaml` is built; a file, or `-` for standard input, holds the objects.
 * @throws BuildError with what kustomize says
 */
export function readBuild(source: string, kubectl: string): Build {
  if (source === '-') return parseBuild(fs.readFileSync(0, 'utf8'), 'standard input');
  if (!fs.existsSync(source)) throw new BuildError(`${source}: there is no such directory or file`);
  if (!fs.statSync(source).isDirectory()) return parseBuild(fs.readFileSync(source, 'utf8'), source);
  return parseBuild(kustomize(source, kubectl), source);
}

export function kustomize(directory: string, kubectl: string): string {
  const { status, stdout, stderr, error } = spawnSync(kubectl, ['kustomize', directory], {
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  if (error !== undefined) throw new BuildError(`${kubectl}: ${error.message}`);
  if (status !== 0) throw new BuildError(`${directory}: ${stderr.trim().slice(0, 2_000)}`);
  return stdout;
}

export function parseBuild(text: string, name: string): Build {
  const documents = parseAllDocuments(text);
  const objects: KubeObject[] = [];
  for (const document of 'empty' in documents ? [] : documents) {
    const [problem] = document.errors;
    if (problem !== undefined) throw new BuildError(`${name}: ${problem.message}`);
    const value: unknown = document.toJS();
    if (value === null) continue;
    if (!isObject(value))
      throw new BuildError(`${name}: a document is no object of Kubernetes: kind or name is missing`);
    objects.push(value);
  }
  if (objects.length === 0) throw new BuildError(`${name}: there are no objects in it`);
  return new Build(objects);
}

function isObject(value: unknown): value is KubeObject {
  if (typeof value !== 'object' || value === null) return false;
  const { kind, metadata } = value as Partial<KubeObject>;
  return typeof kind === 'string' && typeof metadata?.name === 'string';
}

/** `KUBECTL`, or the kubectl that `test/tools/setup.sh` installs, or the system's. */
export function findKubectl(env: Readonly<NodeJS.ProcessEnv>): string {
  const installed = path.join(import.meta.dirname, '../../.tools/kubectl/bin/kubectl');
  return env['KUBECTL'] ?? (fs.existsSync(installed) ? installed : 'kubectl');
}
