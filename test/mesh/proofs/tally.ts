import { setTimeout as delay } from 'node:timers/promises';
import type { Mesh } from '../rig/mesh.ts';
import type { Pod } from '../rig/pod.ts';

/** What a gateway answered meanwhile. */
export interface Answers {
  readonly pod: Pod;
  readonly total: number;
  /** By the name of the status. */
  readonly statuses: Readonly<Record<string, number>>;
}

/** Counts the calls that reach each gateway, by the gateways' own metrics. */
export class Tally {
  readonly #mesh: Mesh;
  readonly #rpc: string;
  readonly #before: ReadonlyMap<Pod, ReadonlyMap<string, number>>;

  private constructor(mesh: Mesh, rpc: string, before: ReadonlyMap<Pod, ReadonlyMap<string, number>>) {
    this.#mesh = mesh;
    this.#rpc = rpc;
    this.#before = before;
  }

  /** @param rpc such as `inference.GRPCInferenceService/ModelInfer` */
  static async start(mesh: Mesh, rpc: string, pods: readonly Pod[] = mesh.gateways()): Promise<Tally> {
    const before = await Promise.all(pods.map(async (pod) => [pod, await counted(mesh, pod, rpc)] as const));
    return new Tally(mesh, rpc, new Map(before));
  }

  /** Answers since the start. A call counts a moment after its client has its answer. */
  async answers(): Promise<readonly Answers[]> {
    for (let last = await this.#look(); ; ) {
      await delay(150);
      const next = await this.#look();
      if (sum(next) === sum(last)) return next;
      last = next;
    }
  }

  #look(): Promise<readonly Answers[]> {
    return Promise.all(
      [...this.#before].map(async ([pod, before]) => {
        const now = [...(await counted(this.#mesh, pod, this.#rpc))];
        const statuses = Object.fromEntries(
          now.map(([name, count]) => [name, count - (before.get(name) ?? 0)] as const).filter(([, count]) => count > 0),
        );
        return { pod, total: Object.values(statuses).reduce((a, b) => a + b, 0), statuses };
      }),
    );
  }
}

/** How many calls of an RPC a gateway has ended, by status. */
async function counted(mesh: Mesh, pod: Pod, rpc: string): Promise<ReadonlyMap<string, number>> {
  const samples = (await mesh.metrics(pod))('tensorgate_calls_total', { method: rpc });
  return new Map(samples.map(({ labels, value }) => [labels['status'] ?? '', value]));
}

export function sum(answers: readonly Answers[]): number {
  return answers.reduce((all, { total }) => all + total, 0);
}

/** How many were answered with that status. */
export function withStatus(answers: readonly Answers[], status: string): number {
  return answers.reduce((all, { statuses }) => all + (statuses[status] ?? 0), 0);
}

export function ofTrack(answers: readonly Answers[], track: string): readonly Answers[] {
  return answers.filter(({ pod }) => pod.labels['track'] === track);
}

/** Such as `905, 903, 899`. */
export function describe(answers: readonly Answers[]): string {
  return answers.map(({ total }) => total).join(', ');
}
