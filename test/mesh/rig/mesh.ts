/** The whole of it: control plane, istiod, nodes, clients, and one overlay at a time. */

import http from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';
import { parsePrometheusText, type Sample } from '../../gateway/ops/prometheus-text.ts';
import { type Calls, type Outcome, SOCKET } from '../client/calls.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { endOfLog } from './daemon.ts';
import { Images } from './image.ts';
import { isSynchronized, startIstiod } from './istiod.ts';
import { Kubelet } from './kubelet.ts';
import type { KubernetesObject } from './kubernetes.ts';
import type { Pod } from './pod.ts';
import { poll } from './polling.ts';
import type { Toolbox } from './toolbox.ts';

const HERE = fileURLToPath(new URL('..', import.meta.url));
const MODELS = fileURLToPath(new URL('../../../models', import.meta.url));

/** Ports of every proxy's loopback. */
const ENVOY_ADMIN = 15_000;
/** The gateway's own. */
const HTTP_PORT = 8002;
export const GRPC_PORT = 8001;

/** Longer than `warmup.duration`. */
const WARM_UP_MS = 35_000;

/** The Service, as clients name it. */
export const SERVICE = 'tensorgate.inference.svc.cluster.local';

export type ClientName = 'caller' | 'admin' | 'stranger' | 'outsider';

/** One operation of a JSON patch (RFC 6902). */
export interface PatchOperation {
  readonly op: 'add' | 'remove' | 'replace' | 'test';
  readonly path: string;
  readonly value?: unknown;
}

interface DeploymentObject extends KubernetesObject {
  readonly spec: { readonly replicas?: number };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly updatedReplicas?: number;
    readonly availableReplicas?: number;
    readonly replicas?: number;
  };
}

/** Finds the series of a metric that have these labels. */
export type Metrics = (name: string, labels: Readonly<Record<string, string>>) => readonly Sample[];

export class Mesh {
  readonly control: ControlPlane;
  readonly #kubelet: Kubelet;
  #applied: readonly KubernetesObject[] = [];

  private constructor(control: ControlPlane, kubelet: Kubelet) {
    this.control = control;
    this.#kubelet = kubelet;
  }

  static async start(toolbox: Toolbox): Promise<Mesh> {
    const control = await startControlPlane(toolbox);
    await startIstiod(toolbox, control);
    const kubelet = await Kubelet.start(control.kubernetes, new Images(toolbox), MODELS);
    await control.kubectl(['apply', '-f', path.join(HERE, 'clients.yaml')]);
    return new Mesh(control, kubelet);
  }

  /** Applies an overlay in the place of the one before, and waits until its pods are ready and all proxies know of it. */
  async apply(folder: string): Promise<void> {
    const text = await this.control.kubectl(['kustomize', path.join(HERE, 'overlays', folder)]);
    const objects = parseAllDocuments(text).map((document) => document.toJS() as KubernetesObject);
    await this.control.kubectl(['apply', '-f', '-'], text);
    const kept = new Set(objects.map(identity));
    for (const object of this.#applied.filter((each) => !kept.has(identity(each)))) await this.#delete(object);
    this.#applied = objects;
    await this.settle();
  }

  /** Changes an object of the overlay where it is. Pods are new by then, proxies need not know yet, and may refuse it. */
  async patch(
    kind: string,
    name: string,
    operations: readonly PatchOperation[],
    namespace = 'inference',
  ): Promise<void> {
    const patch = JSON.stringify(operations);
    await this.control.kubectl(['-n', namespace, 'patch', kind, name, '--type=json', `--patch=${patch}`]);
    await this.#rolledOut();
  }

  /** Makes an object of the overlay what it was when the overlay was applied. */
  async restore(kind: string, name: string): Promise<void> {
    const object = this.#applied.find((each) => each.kind === kind && each.metadata.name === name);
    if (object === undefined) throw new Error(`the overlay has no ${kind} ${name}`);
    await this.control.kubectl(['replace', '-f', '-'], JSON.stringify(object));
    await this.settle();
  }

  /** Waits until Deployments have the pods that they should have, and every proxy has what istiod has for it. */
  async settle(): Promise<void> {
    await this.#rolledOut();
    await this.settled();
  }

  async #rolledOut(): Promise<void> {
    await poll('pods are ready', 180, async () => {
      const deployments = await this.control.kubernetes.list<DeploymentObject>('/apis/apps/v1/deployments');
      const clients = ['caller', 'admin', 'stranger', 'outsider'] as const;
      return deployments.every(isComplete) && clients.every((name) => this.#find(name)?.isReady === true);
    }).catch((error: unknown) => {
      throw new Error(`${error}; the kubelet says: ${endOfLog('kubelet', 5)}`);
    });
  }

  /** Waits until every proxy has what istiod has for it. */
  async settled(seconds = 120): Promise<void> {
    // Some times in a row, because istiod gathers changes for a moment before it sends them.
    let row = 0;
    await poll('proxies are in step with istiod', seconds, async () => {
      row = (await isSynchronized()) ? row + 1 : 0;
      return row >= 3;
    });
  }

  /** The pods of the gateway that are ready. */
  gateways(track?: 'stable' | 'canary'): readonly Pod[] {
    return this.#kubelet.pods.filter(
      ({ labels, isReady }) =>
        isReady && labels['app'] === 'tensorgate' && (track === undefined || labels['track'] === track),
    );
  }

  get pods(): readonly Pod[] {
    return this.#kubelet.pods;
  }

  /** The pods that have a proxy. */
  get proxied(): readonly Pod[] {
    return this.pods.filter((pod) => pod.isReady && pod.hasContainer('istio-proxy'));
  }

  client(name: ClientName): Pod {
    const pod = this.#find(name);
    if (pod === undefined) throw new Error(`there is no pod ${name}`);
    return pod;
  }

  /** Has a client make calls of the gateway's Service. */
  async calls(from: ClientName, calls: Partial<Calls> & Pick<Calls, 'path' | 'message'>): Promise<Outcome> {
    const control = this.client(from).volumes.get('control');
    if (control === undefined) throw new Error(`${from} has no volume control`);
    const whole: Calls = { target: `${SERVICE}:${GRPC_PORT}`, count: 1, parallel: 1, deadlineMs: 10_000, ...calls };
    return post(path.join(control, SOCKET), whole);
  }

  /** The counters and gauges of a pod's proxy whose names match. */
  async proxyStats(pod: Pod, pattern: RegExp): Promise<ReadonlyMap<string, number>> {
    const text = await pod.forwards.http(ENVOY_ADMIN, '/stats?usedonly');
    const lines = text.split('\n').map((line) => line.split(': ', 2) as [string, string]);
    return new Map(lines.filter(([name]) => pattern.test(name)).map(([name, value]) => [name, Number(value)]));
  }

  /** @param query such as `?resource=dynamic_listeners` */
  async proxyConfig(pod: Pod, query = ''): Promise<string> {
    return pod.forwards.http(ENVOY_ADMIN, `/config_dump${query}`);
  }

  /** The metrics of a gateway. */
  async metrics(pod: Pod): Promise<Metrics> {
    const families = parsePrometheusText(await pod.forwards.http(HTTP_PORT, '/metrics'));
    return (name, labels) =>
      (families.get(name)?.samples ?? []).filter((sample) =>
        Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
      );
  }

  /** Ejections by outlier detection outlast what caused them, and would disturb whatever comes next. */
  async calm(): Promise<void> {
    await poll('ejections end', 180, async () => {
      const stats = await this.proxyStats(this.client('caller'), /outlier_detection\.ejections_active$/);
      return [...stats.values()].every((active) => active === 0);
    });
  }

  /** A pod that is new gets less at first: `warmup` of the DestinationRule, which counts from the making of the pod. */
  async warm(): Promise<void> {
    await poll('pods are older than their warm-up', 60, async () =>
      this.gateways().every(({ startedAt }) => Date.now() - startedAt > WARM_UP_MS),
    );
  }

  #find(name: ClientName): Pod | undefined {
    return this.#kubelet.pods.find((pod) => pod.labels['app'] === name);
  }

  async #delete({ kind = '', metadata: { name, namespace } }: KubernetesObject): Promise<void> {
    const where = namespace === undefined ? [] : ['-n', namespace];
    await this.control.kubectl([...where, 'delete', kind, name, '--ignore-not-found', '--wait=false']);
  }
}

function identity({ apiVersion, kind, metadata: { name, namespace } }: KubernetesObject): string {
  return [apiVersion, kind, namespace, name].join(' ');
}

function isComplete({ metadata, spec, status = {} }: DeploymentObject): boolean {
  const wanted = spec.replicas ?? 1;
  const { generation } = metadata as { generation?: number };
  const { observedGeneration, updatedReplicas = 0, availableReplicas = 0, replicas = 0 } = status;
  return (
    observedGeneration === generation &&
    updatedReplicas === wanted &&
    availableReplicas === wanted &&
    replicas === wanted
  );
}

function post(socketPath: string, calls: Calls): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const request = http.request({ socketPath, method: 'POST', path: '/', agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        if (response.statusCode === 200) resolve(JSON.parse(text) as Outcome);
        else reject(new Error(`a client pod could not make its calls: ${text}`));
      });
    });
    request.on('error', reject);
    request.end(JSON.stringify(calls));
  });
}
