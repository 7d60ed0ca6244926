/** What a pod can learn of itself: the downward API. */

import os from 'node:os';
import type { ContainerSpec, PodObject } from './pod-spec.ts';
import { parseQuantity } from './quantity.ts';

/** Where a pod runs. */
export interface Placement {
  readonly ip: string;
  readonly node: string;
  readonly hostIp: string;
}

/** @throws Error on a path that the rig does not know */
export function fieldOf({ metadata, spec }: PodObject, { ip, node, hostIp }: Placement, path: string): string {
  const keyed = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(path);
  if (keyed !== null) return metadata[keyed[1] as 'labels' | 'annotations']?.[keyed[2] ?? ''] ?? '';
  switch (path) {
    case 'metadata.name':
      return metadata.name;
    case 'metadata.namespace':
      return metadata.namespace ?? '';
    case 'metadata.uid':
      return metadata.uid ?? '';
    case 'metadata.labels':
      return formatMap(metadata.labels);
    case 'metadata.annotations':
      return formatMap(metadata.annotations);
    case 'spec.serviceAccountName':
      return spec.serviceAccountName ?? 'default';
    case 'spec.nodeName':
      return node;
    case 'status.podIP':
    case 'status.podIPs':
      return ip;
    case 'status.hostIP':
      return hostIp;
    default:
      throw new Error(`the rig knows no field ${path}`);
  }
}

/** A limit or request of a container, in cores (rounded up) or bytes; where there is none, what the machine has. */
export function resourceOf({ resources }: ContainerSpec, path: string): string {
  const [kind, name] = path.split('.') as ['limits' | 'requests', string];
  const given = resources?.[kind]?.[name];
  if (given !== undefined) return String(Math.ceil(parseQuantity(given)));
  return String(name === 'cpu' ? os.availableParallelism() : os.totalmem());
}

function formatMap(map: Readonly<Record<string, string>> = {}): string {
  return Object.entries(map)
    .map(([key, value]) => `${key}=${JSON.stringify(value)}\n`)
    .join('');
}
