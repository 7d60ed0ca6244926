/** The volumes of a pod, as folders. */

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fieldOf, type Placement } from './downward.ts';
import { configMap } from './environment.ts';
import type { Kubernetes } from './kubernetes.ts';
import type { ConfigMapFiles, DownwardFile, PodObject, VolumeSpec } from './pod-spec.ts';
import { parseQuantity } from './quantity.ts';

/** Makes the volumes below `folder`. Resolves with the folder of each. @throws Error on a kind that the rig does not know */
export async function makeVolumes(
  kubernetes: Kubernetes,
  pod: PodObject,
  placement: Placement,
  folder: string,
  models: string,
): Promise<ReadonlyMap<string, string>> {
  const volumes = new Map<string, string>();
  for (const volume of pod.spec.volumes ?? []) {
    const directory = path.join(folder, volume.name);
    fs.mkdirSync(directory, { recursive: true });
    fs.chmodSync(directory, 0o777);
    await fill(new Filling(kubernetes, pod, placement, directory), volume, models);
    volumes.set(volume.name, directory);
  }
  return volumes;
}

async function fill(filling: Filling, volume: VolumeSpec, models: string): Promise<void> {
  if (volume.emptyDir !== undefined) filling.emptyDir(volume.emptyDir);
  else if (volume.configMap !== undefined) await filling.configMap(volume.configMap);
  else if (volume.downwardAPI !== undefined) filling.downward(volume.downwardAPI.items);
  else if (volume.projected !== undefined) {
    for (const { serviceAccountToken, configMap, downwardAPI } of volume.projected.sources) {
      if (serviceAccountToken !== undefined) await filling.token(serviceAccountToken);
      if (configMap !== undefined) await filling.configMap(configMap);
      if (downwardAPI !== undefined) filling.downward(downwardAPI.items);
    }
  } else if (volume.image !== undefined) {
    // The image of models, as deploy/models builds it, with the models of this repository. Each pod has a copy of its own.
    fs.cpSync(models, path.join(filling.directory, 'models'), { recursive: true });
  } else if (volume.persistentVolumeClaim !== undefined) {
    fs.cpSync(models, filling.directory, { recursive: true });
  } else throw new Error(`the rig knows no volume of the kind of ${JSON.stringify(volume)}`);
}

class Filling {
  readonly directory: string;
  readonly #kubernetes: Kubernetes;
  readonly #pod: PodObject;
  readonly #placement: Placement;

  constructor(kubernetes: Kubernetes, pod: PodObject, placement: Placement, directory: string) {
    this.#kubernetes = kubernetes;
    this.#pod = pod;
    this.#placement = placement;
    this.directory = directory;
  }

  emptyDir({ medium, sizeLimit }: { readonly medium?: string; readonly sizeLimit?: string }): void {
    if (medium !== 'Memory') return;
    const size = sizeLimit === undefined ? [] : [`size=${parseQuantity(sizeLimit)}`];
    execFileSync('mount', ['-t', 'tmpfs', '-o', ['mode=1777', ...size].join(','), 'tmpfs', this.directory]);
  }

  async configMap({ name, optional, items }: ConfigMapFiles): Promise<void> {
    const data = await configMap(this.#kubernetes, this.#namespace, name, optional);
    const files = items ?? Object.keys(data).map((key) => ({ key, path: key }));
    for (const { key, path: file } of files) {
      const text = data[key];
      if (text !== undefined) this.#write(file, text);
    }
  }

  downward(items: readonly DownwardFile[]): void {
    for (const { path: file, fieldRef } of items) {
      // Only Envoy's own accounting would want to know resources, and nothing is limited here.
      if (fieldRef !== undefined) this.#write(file, fieldOf(this.#pod, this.#placement, fieldRef.fieldPath));
    }
  }

  async token({ audience, path: file }: { readonly audience?: string; readonly path: string }): Promise<void> {
    const account = this.#pod.spec.serviceAccountName ?? 'default';
    const { name, uid } = this.#pod.metadata;
    const url = `/api/v1/namespaces/${this.#namespace}/serviceaccounts/${account}/token`;
    const request = {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: {
        ...(audience !== undefined && { audiences: [audience] }),
        expirationSeconds: 43_200,
        boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid },
      },
    };
    const { status } = await this.#kubernetes.create<{ status: { token: string } }>(url, request);
    this.#write(file, status.token);
  }

  get #namespace(): string {
    return this.#pod.metadata.namespace ?? '';
  }

  #write(file: string, text: string): void {
    const target = path.join(this.directory, file);
    fs.mkdirSync(path.dirname(target), { recursive: true });
    fs.writeFileSync(target, text, { mode: 0o644 });
  }
}
