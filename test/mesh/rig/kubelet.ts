/** A miniature kubelet, with as much of a scheduler as it needs: binds pods to two nodes, runs them, and ends them. */

import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { addHost } from './hosts.ts';
import type { Images } from './image.ts';
import { type Kubernetes, KubernetesError, type KubernetesObject } from './kubernetes.ts';
import { type Node, Pod } from './pod.ts';
import type { PodObject } from './pod-spec.ts';
import { WORK } from './sandbox.ts';

const PERIOD_MS = 200;
const ZONE = 'topology.kubernetes.io/zone';

/** Two nodes, in two zones of a region. Their addresses are free to choose: nothing runs outside of pods. */
const NODES = [
  { name: 'node-1', ip: '10.244.0.2', zone: 'z1' },
  { name: 'node-2', ip: '10.244.0.3', zone: 'z2' },
] as const;

interface ServiceObject extends KubernetesObject {
  readonly spec: { readonly clusterIP?: string };
}

export class Kubelet {
  readonly #kubernetes: Kubernetes;
  readonly #images: Images;
  readonly #models: string;
  /** By uid; `undefined` while one is being started. */
  readonly #pods = new Map<string, Pod | undefined>();
  /** Those that are never started again. */
  readonly #ended = new Set<string>();
  /** Those that the API server has forgotten. */
  readonly #removed = new Set<string>();
  readonly #placed = new Map<string, { readonly node: string; readonly template: string | undefined }>();

  private constructor(kubernetes: Kubernetes, images: Images, models: string) {
    this.#kubernetes = kubernetes;
    this.#images = images;
    this.#models = models;
  }

  static async start(kubernetes: Kubernetes, images: Images, models: string): Promise<Kubelet> {
    const kubelet = new Kubelet(kubernetes, images, models);
    for (const node of NODES) await kubelet.#register(node);
    void kubelet.#work();
    return kubelet;
  }

  /** The pods that run and are not about to end. */
  get pods(): readonly Pod[] {
    return [...this.#pods.values()].filter((pod) => pod !== undefined && !pod.isStopping) as Pod[];
  }

  async #register({ name, ip, zone }: (typeof NODES)[number]): Promise<void> {
    const labels = { 'kubernetes.io/hostname': name, 'topology.kubernetes.io/region': 'r1', [ZONE]: zone };
    await this.#kubernetes.create('/api/v1/nodes', { metadata: { name, labels } });
    // From version 1.33 on, Istio injects native sidecars.
    const nodeInfo = { kubeletVersion: 'v1.36.1', architecture: 'amd64', operatingSystem: 'linux' };
    const unknown = ['bootID', 'containerRuntimeVersion', 'kernelVersion', 'kubeProxyVersion', 'machineID', 'osImage'];
    await this.#kubernetes.merge(`/api/v1/nodes/${name}/status`, {
      status: {
        nodeInfo: { ...Object.fromEntries([...unknown, 'systemUUID'].map((key) => [key, ''])), ...nodeInfo },
        conditions: [{ type: 'Ready', status: 'True' }],
        addresses: [{ type: 'InternalIP', address: ip }],
      },
    });
  }

  async #work(): Promise<void> {
    for (;;) {
      await this.#look().catch((error: unknown) => log(String(error)));
      await delay(PERIOD_MS);
    }
  }

  async #look(): Promise<void> {
    for (const { metadata, spec } of await this.#kubernetes.list<ServiceObject>('/api/v1/services')) {
      const { clusterIP = 'None' } = spec;
      const name = `${metadata.name}.${metadata.namespace}.svc`;
      if (clusterIP !== 'None' && name !== 'istiod.istio-system.svc')
        addHost(clusterIP, [`${name}.cluster.local`, name]);
    }
    const objects = await this.#kubernetes.list<PodObject>('/api/v1/pods');
    for (const object of objects) {
      const uid = object.metadata.uid ?? '';
      const isKnown = this.#pods.has(uid) || this.#ended.has(uid);
      if (object.metadata.deletionTimestamp !== undefined) this.#end(uid, object);
      else if (!isKnown) this.#start(uid, object);
    }
    const uids = new Set(objects.map(({ metadata }) => metadata.uid));
    for (const [uid, pod] of this.#pods) {
      if (!uids.has(uid) && pod !== undefined) void this.#stop(uid, pod, 0);
    }
  }

  #start(uid: string, object: PodObject): void {
    this.#pods.set(uid, undefined);
    const node = this.#schedule(object);
    void (async () => {
      await this.#bind(object, node.name);
      this.#pods.set(uid, await Pod.start(object, node));
    })().catch((error: unknown) => {
      // Not tried again: what is wrong with it will be so the next time.
      this.#pods.delete(uid);
      this.#ended.add(uid);
      log(`${object.metadata.namespace}/${object.metadata.name} cannot be started: ${error}`);
    });
  }

  #end(uid: string, object: PodObject): void {
    const pod = this.#pods.get(uid);
    // One that is being started is ended at a later look, and one that is being stopped is so already.
    if ((pod === undefined && this.#pods.has(uid)) || pod?.isStopping === true || this.#removed.has(uid)) return;
    const grace = object.metadata.deletionGracePeriodSeconds;
    void (async () => {
      if (pod !== undefined) await this.#stop(uid, pod, grace === undefined ? undefined : grace * 1000);
      this.#ended.add(uid);
      const { namespace, name } = object.metadata;
      await this.#kubernetes.delete(`/api/v1/namespaces/${namespace}/pods/${name}?gracePeriodSeconds=0`);
      this.#removed.add(uid);
    })().catch((error: unknown) => {
      if (!(error instanceof KubernetesError && error.status === 404)) log(String(error));
    });
  }

  async #stop(uid: string, pod: Pod, graceMs: number | undefined): Promise<void> {
    this.#ended.add(uid);
    this.#placed.delete(uid);
    await pod.stop(graceMs);
    this.#pods.delete(uid);
  }

  async #bind({ metadata, spec }: PodObject, node: string): Promise<void> {
    if (spec.nodeName !== undefined) return;
    await this.#kubernetes.create(`/api/v1/namespaces/${metadata.namespace}/pods/${metadata.name}/binding`, {
      apiVersion: 'v1',
      kind: 'Binding',
      metadata: { name: metadata.name },
      target: { apiVersion: 'v1', kind: 'Node', name: node },
    });
  }

  /** The node that the pod asks for by its zone, or else that with the fewest pods of the same template. */
  #schedule({ spec, metadata }: PodObject): Node {
    const template = metadata.labels?.['pod-template-hash'];
    const like = ({ name }: { readonly name: string }): number =>
      [...this.#placed.values()].filter((place) => place.node === name && place.template === template).length;
    const [first, second] = NODES;
    const asked = NODES.find(({ zone }) => zone === spec.nodeSelector?.[ZONE]);
    const { name, ip } = asked ?? (like(first) <= like(second) ? first : second);
    this.#placed.set(metadata.uid ?? '', { node: name, template });
    return { kubernetes: this.#kubernetes, images: this.#images, models: this.#models, name, ip };
  }
}

function log(text: string): void {
  fs.appendFileSync(path.join(WORK, 'logs', 'kubelet.log'), `${text}\n`);
}
