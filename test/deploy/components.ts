/** Which components of deploy/istio go together. */

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type Build, parseBuild } from '../../deploy/lint/build.ts';
import { output } from '../support/run-program.ts';
import { ISTIO, KUBECTL } from './builds.ts';

/** In the order in which they have to be listed, with what each of them needs. */
export const COMPONENTS: Readonly<Record<string, readonly string[]>> = {
  'istio-policy': [],
  'locality-failover': [],
  'istio-1.31': [],
  'track-services': [],
  'route-virtualservice': [],
  'route-httproute': ['track-services'],
  'route-grpcroute': ['track-services'],
  ingress: ['track-services'],
  jwt: ['ingress'],
  'inference-pool': ['ingress'],
  monitoring: [],
  flagger: ['monitoring'],
  'argo-rollouts': ['monitoring'],
  shadow: [],
  canary: [],
  'large-tensors': [],
  'orca-wrr': [],
  hpa: ['monitoring'],
  keda: ['monitoring'],
  'model-control': [],
  'models-init': [],
  'models-pvc': [],
  'models-uri': [],
  tls: [],
  'admin-port': [],
  'istio-sidecar': [],
  'istio-ambient': [],
};
export const NAMES = Object.keys(COMPONENTS);

/** What excludes what, and the rule that says so. */
export const EXCLUSIONS: readonly (readonly [string, string, string])[] = [
  ['istio-sidecar', 'istio-ambient', 'one-data-plane'],
  ['admin-port', 'istio-sidecar', 'control-guarded'],
  ['admin-port', 'istio-ambient', 'control-guarded'],
  ['route-virtualservice', 'route-httproute', 'one-router'],
  ['route-virtualservice', 'route-grpcroute', 'one-router'],
  ['route-httproute', 'route-grpcroute', 'one-router'],
  ['route-virtualservice', 'flagger', 'one-router'],
  ['route-httproute', 'flagger', 'one-router'],
  ['route-grpcroute', 'flagger', 'one-router'],
  ['istio-ambient', 'route-virtualservice', 'ambient-routes'],
  ['istio-ambient', 'flagger', 'ambient-routes'],
  ['istio-ambient', 'large-tensors', 'filters-reach'],
  ['istio-ambient', 'orca-wrr', 'filters-reach'],
  ['locality-failover', 'orca-wrr', 'orca-alone'],
  ['hpa', 'keda', 'one-scaler'],
  ['hpa', 'flagger', 'flagger-scaler'],
  ['keda', 'flagger', 'flagger-scaler'],
  ['hpa', 'argo-rollouts', 'scaler-target'],
  ['keda', 'argo-rollouts', 'scaler-target'],
  ['canary', 'flagger', 'one-canary'],
  ['canary', 'argo-rollouts', 'one-canary'],
  ['flagger', 'argo-rollouts', 'one-canary'],
  ['track-services', 'flagger', 'made-by-flagger'],
  ['track-services', 'argo-rollouts', 'tracks-of-rollout'],
  ['models-init', 'models-pvc', 'volume-source'],
  ['models-init', 'models-uri', 'volume-source'],
  ['models-pvc', 'models-uri', 'volume-source'],
  ['inference-pool', 'istio-ambient', 'pool-routed'],
  ['tls', 'istio-sidecar', 'mesh-encrypts'],
  ['tls', 'istio-ambient', 'mesh-encrypts'],
  // They patch a VirtualService, and there is none.
  ['shadow', 'flagger', 'weights'],
  ['shadow', 'route-httproute', 'weights'],
  ['shadow', 'route-grpcroute', 'weights'],
  ['argo-rollouts', 'route-httproute', 'subsets'],
  ['argo-rollouts', 'route-grpcroute', 'subsets'],
];

/** What plain Kubernetes takes, too. */
const MESHLESS = [
  'admin-port',
  'monitoring',
  'canary',
  'hpa',
  'keda',
  'model-control',
  'models-init',
  'models-pvc',
  'models-uri',
  'tls',
];

/** What two components need between them. The rest of the mesh is what goes with them. */
export function listFor(...wanted: readonly string[]): string[] {
  const list = new Set(wanted);
  const add = (name: string): void => {
    list.add(name);
    for (const needed of COMPONENTS[name] ?? []) add(needed);
  };
  for (const name of wanted) add(name);
  if (list.has('admin-port') && wanted.every((name) => MESHLESS.includes(name)))
    return NAMES.filter((name) => list.has(name));
  add('istio-policy');
  if (!list.has('istio-sidecar') && !list.has('istio-ambient')) add('istio-sidecar');
  const hasRoute = ['route-virtualservice', 'route-httproute', 'route-grpcroute', 'flagger'].some((name) =>
    list.has(name),
  );
  if (!hasRoute) add(list.has('istio-ambient') ? 'route-httproute' : 'route-virtualservice');
  return NAMES.filter((name) => list.has(name));
}

function exclusionsIn(list: readonly string[]): string[] {
  return EXCLUSIONS.filter(([one, other]) => list.includes(one) && list.includes(other)).map(([, , rule]) => rule);
}

const lists = new Map<string, readonly string[]>();
for (const one of NAMES) {
  for (const other of NAMES) lists.set(listFor(one, other).join(' '), listFor(one, other));
}
/** Every two of them that go together, with what they need. */
export const LEGAL = [...lists.values()].filter((list) => exclusionsIn(list).length === 0);

/** The objects of base and these components, in this order. @throws Error with what kustomize says. */
export async function compose(list: readonly string[]): Promise<Build> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'tensorgate-components-'));
  const from = (name: string) => path.relative(directory, path.join(ISTIO, name));
  const lines = [
    'apiVersion: kustomize.config.k8s.io/v1beta1',
    'kind: Kustomization',
    `resources: [${from('base')}]`,
    'components:',
    ...list.map((name) => `  - ${from(`components/${name}`)}`),
  ];
  try {
    fs.writeFileSync(path.join(directory, 'kustomization.yaml'), lines.join('\n'));
    return parseBuild(await output(KUBECTL ?? 'kubectl', ['kustomize', directory]), list.join(' '));
  } finally {
    fs.rmSync(directory, { recursive: true });
  }
}

/** The builds of all `LEGAL` lists, as they come. */
export async function composeLegal(take: (list: readonly string[], build: Build) => void): Promise<void> {
  const waiting = [...LEGAL];
  const work = async (): Promise<void> => {
    for (let list = waiting.pop(); list !== undefined; list = waiting.pop()) take(list, await compose(list));
  };
  await Promise.all([work(), work()]);
}
