import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Container } from './container.ts';
import type { Placement } from './downward.ts';
import { environmentOf } from './environment.ts';
import type { Images } from './image.ts';
import type { Kubernetes } from './kubernetes.ts';
import { PodNetwork } from './pod-network.ts';
import type { ContainerSpec, PodObject } from './pod-spec.ts';
import { PortForwards } from './port-forward.ts';
import { keepProbing, probe } from './probe.ts';
import { WORK } from './sandbox.ts';
import { makeVolumes } from './volumes.ts';

/** What all pods of a node need. */
export interface Node {
  readonly kubernetes: Kubernetes;
  readonly images: Images;
  /** A model repository: the content of every volume that brings models. */
  readonly models: string;
  readonly name: string;
  readonly ip: string;
}

/** How long a container that ended rests before it is started again, first and at most; Kubernetes takes 10 s and 5 min. */
const RESTART_MS = { first: 1000, most: 10_000 };

/** A pod that runs: what a kubelet does from its binding to its end. */
export class Pod {
  readonly object: PodObject;
  readonly network: PodNetwork;
  readonly forwards: PortForwards;
  readonly folder: string;
  readonly volumes: ReadonlyMap<string, string>;
  /** In milliseconds, as `Date.now` counts. */
  readonly startedAt: number = Date.now();
  readonly #node: Node;
  readonly #sidecars: Container[] = [];
  readonly #apps: Container[] = [];
  readonly #well = new Map<Container, boolean>();
  readonly #stopping = new AbortController();
  #reported: boolean | undefined;

  private constructor(
    object: PodObject,
    node: Node,
    network: PodNetwork,
    folder: string,
    volumes: ReadonlyMap<string, string>,
  ) {
    this.object = object;
    this.#node = node;
    this.network = network;
    this.folder = folder;
    this.volumes = volumes;
    this.forwards = new PortForwards(network.name, folder);
  }

  /** Makes network and volumes, and starts the containers; does not wait for readiness. */
  static async start(object: PodObject, node: Node): Promise<Pod> {
    const id = (object.metadata.uid ?? '').slice(0, 8);
    const network = await PodNetwork.create(id);
    for (const { name, value } of object.spec.securityContext?.sysctls ?? []) {
      await network.exec('sysctl', '-qw', `${name}=${value}`);
    }
    const folder = path.join(WORK, 'pods', id);
    fs.mkdirSync(folder, { recursive: true });
    const placement = { ip: network.ip, node: node.name, hostIp: node.ip };
    const volumes = await makeVolumes(node.kubernetes, object, placement, path.join(folder, 'volumes'), node.models);
    const pod = new Pod(object, node, network, folder, volumes);
    await pod.#patch({
      phase: 'Pending',
      podIP: network.ip,
      podIPs: [{ ip: network.ip }],
      hostIP: node.ip,
      hostIPs: [{ ip: node.ip }],
      startTime: now(),
      conditions: conditions(false),
    });
    void pod.#run(placement).catch((error: unknown) => pod.#log(String(error)));
    return pod;
  }

  get name(): string {
    return this.object.metadata.name;
  }

  get namespace(): string {
    return this.object.metadata.namespace ?? '';
  }

  get labels(): Readonly<Record<string, string>> {
    return this.object.metadata.labels ?? {};
  }

  get ip(): string {
    return this.network.ip;
  }

  get nodeName(): string {
    return this.#node.name;
  }

  get isReady(): boolean {
    return this.#reported === true && !this.isStopping;
  }

  get isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  hasContainer(name: string): boolean {
    return this.#containers.some((container) => container.name === name);
  }

  /** @throws Error where the pod has no such container */
  container(name: string): Container {
    const found = this.#containers.find((container) => container.name === name);
    if (found === undefined) throw new Error(`${this.name} has no container ${name}`);
    return found;
  }

  get #containers(): readonly Container[] {
    return [...this.#sidecars, ...this.#apps];
  }

  async #run(placement: Placement): Promise<void> {
    const { initContainers = [], containers } = this.object.spec;
    for (const spec of initContainers) {
      const container = await this.#prepare(spec, placement);
      if (spec.restartPolicy === 'Always') {
        this.#sidecars.push(container);
        void this.#keepRunning(container);
        await this.#untilStarted(container);
      } else {
        const code = await container.start();
        if (code !== 0) throw new Error(`${spec.name} ended with ${code}; see its log`);
      }
      if (this.isStopping) return;
    }
    await this.#patch({ phase: 'Running' });
    for (const spec of containers) this.#apps.push(await this.#prepare(spec, placement));
    for (const container of this.#apps) void this.#keepRunning(container);
  }

  async #prepare(spec: ContainerSpec, placement: Placement): Promise<Container> {
    return new Container({
      spec,
      image: this.#node.images.find(spec.image),
      env: await environmentOf(this.#node.kubernetes, this.object, placement, spec),
      volumes: this.volumes,
      podSecurity: this.object.spec.securityContext,
      network: this.network.name,
      root: path.join(this.folder, 'roots', spec.name),
      log: `${this.namespace}-${this.name}-${spec.name}`,
    });
  }

  /** Starts it, looks after it, and starts it again when it ends, until the pod is stopped. */
  async #keepRunning(container: Container): Promise<void> {
    for (let rest = RESTART_MS.first; !this.isStopping; rest = Math.min(2 * rest, RESTART_MS.most)) {
      const life = new AbortController();
      const ended = container.start();
      const looks = this.#lookAfter(container, AbortSignal.any([life.signal, this.#stopping.signal]));
      const code = await ended;
      life.abort();
      await looks;
      await this.#note(container, false);
      if (this.isStopping) return;
      this.#log(`${container.name} ended with ${code}`);
      await delay(rest);
    }
  }

  async #lookAfter(container: Container, signal: AbortSignal): Promise<void> {
    const { readinessProbe, livenessProbe } = container.spec;
    if (!(await this.#untilStarted(container, signal))) return;
    const jobs: Promise<void>[] = [];
    if (readinessProbe === undefined) await this.#note(container, true);
    else jobs.push(keepProbing(readinessProbe, this.ip, signal, (isWell) => this.#note(container, isWell)));
    if (livenessProbe !== undefined) {
      const kill = (isWell: boolean): void => {
        if (!isWell) void this.#end(container, this.#grace);
      };
      jobs.push(keepProbing(livenessProbe, this.ip, signal, kill));
    }
    await Promise.all(jobs);
  }

  async #untilStarted(container: Container, signal: AbortSignal = this.#stopping.signal): Promise<boolean> {
    const { startupProbe } = container.spec;
    while (startupProbe !== undefined && !signal.aborted) {
      if (await probe(startupProbe, this.ip)) return true;
      // Less patient than the period says: it only makes the rig faster.
      await delay(100);
    }
    return !signal.aborted;
  }

  /** Notifies the API server when the readiness of the whole pod changes. */
  async #note(container: Container, isWell: boolean): Promise<void> {
    this.#well.set(container, isWell);
    const all = this.#containers;
    const expected = this.object.spec.containers.length + this.#sidecars.length;
    const isReady = all.length === expected && all.every((each) => this.#well.get(each) === true);
    if (isReady === this.#reported) return;
    this.#reported = isReady;
    await this.#patch({
      conditions: conditions(isReady),
      initContainerStatuses: this.#sidecars.map((each) => this.#statusOf(each)),
      containerStatuses: this.#apps.map((each) => this.#statusOf(each)),
    }).catch((error: unknown) => this.#log(String(error)));
  }

  /** For a look with kubectl. */
  #statusOf(container: Container): unknown {
    const { name, spec, restarts, isRunning } = container;
    return {
      name,
      image: spec.image,
      imageID: '',
      ready: this.#well.get(container) === true,
      started: isRunning,
      restartCount: restarts,
      state: isRunning ? { running: {} } : { waiting: { reason: 'CrashLoopBackOff' } },
    };
  }

  get #grace(): number {
    return (this.object.spec.terminationGracePeriodSeconds ?? 30) * 1000;
  }

  /**
   * Ends the pod as a kubelet does: all preStop hooks at once, SIGTERM to the apps, and to native sidecars when those have
   * ended, the last started first; SIGKILL when the grace period is over.
   * @param graceMs instead of the pod's own
   */
  async stop(graceMs: number = this.#grace): Promise<void> {
    if (this.isStopping) return;
    this.#stopping.abort();
    const end = Date.now() + graceMs;
    const left = (): number => Math.max(0, end - Date.now());
    const hooks = new Map(this.#sidecars.map((sidecar) => [sidecar, this.#preStop(sidecar, left())]));
    await Promise.all(this.#apps.map((app) => this.#end(app, left())));
    for (const sidecar of this.#sidecars.toReversed()) {
      await Promise.race([hooks.get(sidecar), delay(left())]);
      await this.#terminate(sidecar, left());
    }
    await this.network.remove();
  }

  async #end(container: Container, graceMs: number): Promise<void> {
    const start = Date.now();
    await this.#preStop(container, graceMs);
    await this.#terminate(container, Math.max(0, graceMs - (Date.now() - start)));
  }

  async #preStop(container: Container, graceMs: number): Promise<void> {
    const hook = container.spec.lifecycle?.preStop;
    if (hook?.sleep !== undefined) await delay(Math.min(hook.sleep.seconds * 1000, graceMs));
    if (hook?.exec !== undefined && graceMs > 0) await container.exec(hook.exec.command, graceMs);
  }

  async #terminate(container: Container, graceMs: number): Promise<void> {
    if (graceMs > 0) {
      container.kill('SIGTERM');
      if (await container.endsWithin(graceMs)) return;
      this.#log(`${container.name} did not end in time`);
    }
    container.kill('SIGKILL');
    await container.endsWithin(5000);
  }

  async #patch(status: unknown): Promise<void> {
    await this.#node.kubernetes.merge(`/api/v1/namespaces/${this.namespace}/pods/${this.name}/status`, { status });
  }

  #log(text: string): void {
    fs.appendFileSync(path.join(WORK, 'logs', 'kubelet.log'), `${now()} ${this.namespace}/${this.name}: ${text}\n`);
  }
}

function conditions(isReady: boolean): unknown {
  const states = { PodScheduled: true, Initialized: true, ContainersReady: isReady, Ready: isReady };
  return Object.entries(states).map(([type, holds]) => ({
    type,
    status: holds ? 'True' : 'False',
    lastTransitionTime: now(),
  }));
}

function now(): string {
  return new Date().toISOString().replace(/\.\d+/, '');
}
