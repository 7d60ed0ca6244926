/** Every two components that go together, and every two that do not: the lint refuses those, and says why. */

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { parseBuild } from '../../deploy/lint/build.ts';
import { lint } from '../../deploy/lint/lint.ts';
import { runProgram } from '../support/run-program.ts';
import { ISTIO, KUBECTL } from './builds.ts';

/** In the order in which they have to be listed, with what each of them needs. */
const COMPONENTS: Readonly<Record<string, readonly string[]>> = {
  'istio-policy': [],
  'locality-failover': [],
  'istio-1.31': [],
  'track-services': [],
  'route-virtualservice': [],
  'route-httproute': ['track-services'],
  'route-grpcroute': ['track-services'],
  ingress: ['track-services'],
  jwt: ['ingress'],
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
  'istio-sidecar': [],
  'istio-ambient': [],
};
const NAMES = Object.keys(COMPONENTS);

/** What excludes what, and the rule that says so. */
const EXCLUSIONS: readonly (readonly [string, string, string])[] = [
  ['istio-sidecar', 'istio-ambient', 'one-data-plane'],
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
  // They patch a VirtualService, and there is none.
  ['shadow', 'flagger', 'weights'],
  ['shadow', 'route-httproute', 'weights'],
  ['shadow', 'route-grpcroute', 'weights'],
  ['argo-rollouts', 'route-httproute', 'subsets'],
  ['argo-rollouts', 'route-grpcroute', 'subsets'],
];

/** What two components need between them. The rest of the mesh is what goes with them. */
function listFor(...wanted: readonly string[]): string[] {
  const list = new Set(['istio-policy', ...wanted]);
  const add = (name: string): void => {
    list.add(name);
    for (const needed of COMPONENTS[name] ?? []) add(needed);
  };
  for (const name of wanted) add(name);
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
const LEGAL = [...lists.values()].filter((list) => exclusionsIn(list).length === 0);

describe.skipIf(KUBECTL === undefined)('components of deploy/istio', () => {
  const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'tensorgate-components-'));
  afterAll(() => fs.rmSync(scratch, { recursive: true }));
  let count = 0;

  /** The rules that find something in a build of these, in this order. */
  async function judge(list: readonly string[]): Promise<readonly string[]> {
    const directory = path.join(scratch, String(++count));
    fs.mkdirSync(directory);
    const from = (name: string) => path.relative(directory, path.join(ISTIO, name));
    const text = [
      'apiVersion: kustomize.config.k8s.io/v1beta1',
      'kind: Kustomization',
      `resources: [${from('base')}]`,
      'components:',
      ...list.map((name) => `  - ${from(`components/${name}`)}`),
    ];
    fs.writeFileSync(path.join(directory, 'kustomization.yaml'), text.join('\n'));
    const { code, stdout, stderr } = await runProgram(KUBECTL ?? 'kubectl', ['kustomize', directory]);
    if (code !== 0) throw new Error(`${list.join(' ')}: ${stderr}`);
    return lint(parseBuild(stdout, list.join(' '))).map(({ rule, object, text: why }) => `${rule}: ${object}: ${why}`);
  }

  test('are all in this test', () => {
    expect(fs.readdirSync(path.join(ISTIO, 'components')).sort()).toEqual(NAMES.toSorted());
  });

  test(`go together in each of ${LEGAL.length} legal pairs`, { timeout: 600_000 }, async () => {
    const refused: unknown[] = [];
    const waiting = [...LEGAL];
    const work = async (): Promise<void> => {
      for (let list = waiting.pop(); list !== undefined; list = waiting.pop()) {
        const findings = await judge(list);
        if (findings.length > 0) refused.push({ list: list.join(' '), findings });
      }
    };
    await Promise.all([work(), work()]);
    expect(refused).toEqual([]);
  });

  test.each(EXCLUSIONS)('%s and %s do not go together: %s', async (one, other, rule) => {
    const findings = await judge(listFor(one, other));
    expect(findings.some((finding) => finding.startsWith(`${rule}: `))).toBe(true);
  });

  const route = 'route-virtualservice';
  test.each([
    ['one-data-plane', ['istio-policy', route, 'istio-sidecar', 'canary']],
    ['weights', ['istio-policy', 'canary', route, 'istio-sidecar']],
    ['policies-scoped', ['istio-policy', route]],
    ['mesh-needed', ['istio-policy', route]],
    ['whole-hosts', ['istio-policy', 'route-httproute', 'istio-ambient']],
    ['waypoint-enrolled', ['istio-policy', 'istio-ambient', 'track-services', 'route-httproute']],
    ['targets-exist', ['istio-policy', route, 'jwt', 'istio-sidecar']],
    ['pod-labels', ['istio-policy', 'flagger', 'istio-sidecar']],
    ['volume-source', ['models-init', 'models-pvc']],
  ])('what is missing or out of order is found: %s', async (rule, list) => {
    const findings = await judge(list);
    expect(findings.some((finding) => finding.startsWith(`${rule}: `))).toBe(true);
  });
});
