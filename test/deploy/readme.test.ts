/** The overlay that deploy/istio/README.md shows, built and linted. Its tables name every existing component. */

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { kustomize, parseBuild } from '../../deploy/lint/build.ts';
import { lint } from '../../deploy/lint/lint.ts';
import { definitionOf } from '../../deploy/lint/rules/queries.ts';
import { ISTIO, KUBECTL, OVERLAYS, overlay } from './builds.ts';

const README = fs.readFileSync(path.join(ISTIO, 'README.md'), 'utf8');

function example(): string {
  return /```yaml\n(# my-cluster\/kustomization\.yaml\n[\s\S]*?)```/.exec(README)?.[1] ?? '';
}

test('every overlay has a line, and every line an overlay', () => {
  const table = /\| overlay \| what \|\n([\s\S]*?)\n\n/.exec(README)?.[1] ?? '';
  const first = table.split('\n').map((line) => line.split('|')[1] ?? '');
  const named = first.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name ?? ''));
  expect(named.toSorted()).toEqual(OVERLAYS);
});

test('every metric that it names is one that the gateway exports', () => {
  const named = new Set(README.match(/\btensorgate_\w+/g));
  const names = [...named].filter(
    (name) => definitionOf(name) === undefined && definitionOf(`${name}_bucket`) === undefined,
  );
  expect(names).toEqual([]);
});

const KUBECTLS = [
  { whose: 'the tools', kubectl: KUBECTL },
  // Its kustomize may be older.
  { whose: 'the system', kubectl: spawnSync('kubectl').error === undefined ? 'kubectl' : undefined },
].flatMap(({ whose, kubectl }) => (kubectl === undefined ? [] : [{ whose, kubectl }]));

test('its example sets no image of a volume by `images`, which kustomize before 5.8 ignores', () => {
  const { images }: { images: readonly { readonly name: string }[] } = parse(example());
  expect(images.map(({ name }) => name).filter((name) => name.endsWith('-models'))).toEqual([]);
});

describe.skipIf(KUBECTL === undefined)('deploy/istio/README.md', () => {
  test.each(KUBECTLS)(
    'with the kubectl of $whose, it shows an overlay that sets every image, stable and canary apart, and has nothing to be found',
    ({ kubectl }) => {
      const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'tensorgate-readme-'));
      try {
        const overlays = path.relative(directory, path.join(ISTIO, 'overlays'));
        fs.writeFileSync(
          path.join(directory, 'kustomization.yaml'),
          example().replace('../deploy/istio/overlays', overlays),
        );
        const text = kustomize(directory, kubectl);
        expect(text).not.toContain('0'.repeat(64));
        expect(text).toContain('cluster.local/ns/web/sa/shop');
        const build = parseBuild(text, 'the example');
        expect(lint(build)).toEqual([]);
        const models = build.workloads.map(
          ({ pod }) => pod.volumes?.find(({ name }) => name === 'models')?.image?.reference,
        );
        expect(new Set(models).size).toBe(2);
      } finally {
        fs.rmSync(directory, { recursive: true });
      }
    },
  );

  test('promotes the routes that the canary has', () => {
    const patch = /-p '(\[[\s\S]*?\])'/.exec(README)?.[1] ?? '';
    const operations: { op: string; path: string; value: unknown }[] = parse(patch);
    const [routes] = overlay('sidecar-canary').of('VirtualService');
    for (const { op, path: at, value } of operations) {
      const [, , , index, ...rest] = at.split('/');
      const route = routes?.spec.http?.[Number(index)];
      if (op === 'test') expect(route?.name).toBe(value);
      else expect(route?.route?.[Number(rest[1])]?.weight).toBeTypeOf('number');
    }
    expect(operations.filter(({ op }) => op === 'test').map(({ value }) => value)).toEqual(['infer', 'stream']);
  });
});
