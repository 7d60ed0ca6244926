import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { Build, readBuild } from '../../deploy/lint/build.ts';
import type { KubeObject } from '../../deploy/lint/kinds.ts';
import { lint } from '../../deploy/lint/lint.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { kubectl } from '../tools/tools.ts';
import { runCommandLine } from './command-line.ts';

const OVERLAY = path.resolve(import.meta.dirname, '../../deploy/istio/overlays/sidecar-canary');

async function emit(...flags: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runCommandLine([
    'rollout',
    'cifar10',
    '--to',
    '2',
    '--emit',
    'istio',
    ...flags,
  ]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
}

interface Route {
  readonly name: string;
  readonly mirrors?: readonly {
    readonly destination: { readonly subset: string };
    readonly percentage: { readonly value: number };
  }[];
  readonly route: readonly { readonly destination: { readonly subset: string }; readonly weight?: number }[];
}

describe('--emit istio', () => {
  test('prints a patch for each step, which names what it is for', async () => {
    const documents = (await emit('--steps', '5,25,100', '--hold', '2m')).split('---\n');
    expect(documents.map((text) => text.split('\n')[0])).toEqual([
      '# shadow',
      '# canary-5',
      '# canary-25',
      '# canary-100',
      '# promote',
      '# rollback',
    ]);
    for (const text of documents) expect(parse(text)).toBeInstanceOf(Array);
    expect(documents[0]).toContain('serves version 2 of cifar10');
    expect(documents[2]).toMatch(/model="cifar10",track="canary".*\[120s\].* <= 0\.01 \+ .*track="stable"/);
  });

  test('asks Prometheus for what the gateway exports, in its language', async () => {
    const text = await emit();
    const queries = [...text.matchAll(/^# {3}(.*(?:rate)\(.*)$/gm)].map(([, query = '']) => query);
    // Errors and latency of each step, and only errors where no other version answers.
    expect(queries).toHaveLength(7);
    const rules = queries.map((expr, index) => ({ alert: `query ${index}`, expr }));
    const metadata = { name: 'rollout', namespace: 'inference' };
    const object = { apiVersion: 'monitoring.coreos.com/v1', kind: 'PrometheusRule', metadata };
    const build = new Build([{ ...object, spec: { groups: [{ name: 'rollout', rules }] } } as unknown as KubeObject]);
    const about = ['query-syntax', 'series-exist', 'grpc-status'];
    expect(lint(build).filter(({ rule }) => about.includes(rule))).toEqual([]);
  });

  test('refuses what Istio cannot do, and steps that there are not', async () => {
    const refused = async (...flags: readonly string[]) => runCommandLine(['rollout', 'm', '--to', '2', ...flags]);
    expect(await refused('--emit', 'istio', '--steps', '0.5,100')).toMatchObject({
      code: 1,
      stderr: 'error: --steps: Istio has whole percentages, ascending, the last of them 100: got 0.5,100\n',
    });
    expect(await refused('--emit', 'istio', '--step', 'canary-2')).toMatchObject({
      code: 1,
      stderr:
        "error: --step: expected one of shadow, canary-1, canary-10, canary-50, canary-100, promote, rollback, got 'canary-2'\n",
    });
    expect(await refused('--step', 'shadow')).toMatchObject({ code: 2 });
    expect(await refused('--emit', 'linkerd')).toMatchObject({ code: 2 });
  });

  const tool = kubectl();
  describe.skipIf(tool === undefined)('on the canary overlay (kubectl)', () => {
    test.each([
      ['shadow', 0, 10],
      ['canary-1', 1, undefined],
      ['canary-50', 50, undefined],
      ['canary-100', 100, undefined],
      ['promote', 0, undefined],
      ['rollback', 0, undefined],
    ] as const)('%s builds, and the lint finds nothing', async (step, canary, copied) => {
      const directory = temporaryDirectory();
      fs.writeFileSync(path.join(directory, 'before.yaml'), await emit('--step', 'shadow'));
      fs.writeFileSync(path.join(directory, 'step.yaml'), await emit('--step', step));
      const target = '{ kind: VirtualService, name: tensorgate }';
      // After another step, as in life: what that left behind is taken away.
      const patches = ['before', 'step'].map((name) => `  - { path: ${name}.yaml, target: ${target} }\n`);
      const resources = `resources: [${path.relative(fs.realpathSync(directory), OVERLAY)}]\n`;
      fs.writeFileSync(path.join(directory, 'kustomization.yaml'), `${resources}patches:\n${patches.join('')}`);
      const build = readBuild(directory, tool ?? '');
      expect(lint(build)).toEqual([]);
      const [virtualService] = build.of('VirtualService') as unknown as [{ spec: { http: readonly Route[] } }];
      const routes = new Map(virtualService.spec.http.map((route) => [route.name, route]));
      for (const name of ['infer', 'stream']) {
        const weights = routes.get(name)?.route.map(({ destination: { subset }, weight }) => [subset, weight]);
        expect(weights).toEqual([
          ['stable', 100 - canary],
          ['canary', canary],
        ]);
      }
      const mirrors = routes
        .get('infer')
        ?.mirrors?.map(({ destination, percentage }) => [destination.subset, percentage.value]);
      expect(mirrors).toEqual(copied === undefined ? undefined : [['canary', copied]]);
      expect(routes.get('stream')?.mirrors).toBeUndefined();
    });
  });
});
