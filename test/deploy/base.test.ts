/** What the pods of deploy/istio would run, run here: the program with the arguments and the environment of the manifests. */

import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { kustomize, NAME, parseBuild } from '../../deploy/lint/build.ts';
import type { Container, KubeObject, Labels, Volume } from '../../deploy/lint/kinds.ts';
import { output, runProgram } from '../support/run-program.ts';
import { ISTIO, KUBECTL, OVERLAYS, overlay } from './builds.ts';

const PROGRAM = new URL('../../src/cli/main.ts', import.meta.url).pathname;
const LINT = new URL('../../deploy/lint/main.ts', import.meta.url).pathname;

describe.skipIf(KUBECTL === undefined)('the gateway of deploy/istio', () => {
  test('takes the arguments and the environment that it gets, in every overlay', { timeout: 120_000 }, async () => {
    const invocations = new Map<string, { args: readonly string[]; env: Labels }>();
    for (const name of OVERLAYS) {
      const build = overlay(name);
      const maps = new Map(build.of('ConfigMap').map(({ metadata, data }) => [metadata.name, data]));
      for (const { pod } of build.workloads) {
        const { args = [], envFrom = [] } = pod.containers.find((container) => container.name === NAME) ?? {};
        const env: Labels = Object.assign({}, ...envFrom.map((source) => maps.get(source.configMapRef?.name ?? '')));
        invocations.set(JSON.stringify([args, env]), { args, env });
      }
    }
    expect(invocations.size).toBeGreaterThan(1);
    for (const { args, env } of invocations.values()) {
      const printed = await output(process.execPath, [PROGRAM, ...args, '--print-config'], { env });
      expect(printed).toMatch(/^modelRepository +\/models +TENSORGATE_MODEL_REPOSITORY$/m);
      expect(printed).toMatch(/^lameDuckMs +10000 +TENSORGATE_LAME_DUCK_MS$/m);
    }
  });

  test('has a reason beside each setting', () => {
    const text = fs.readFileSync(new URL('../../deploy/istio/base/settings.env', import.meta.url), 'utf8');
    for (const paragraph of text.trim().split('\n\n')) expect(paragraph).toMatch(/^#/);
  });
});

describe.skipIf(KUBECTL === undefined)('the runtime for KServe', () => {
  interface Runtime extends KubeObject {
    readonly spec: { readonly containers: readonly Container[]; readonly volumes?: readonly Volume[] };
  }

  test('starts with what it is given, and has what KServe looks for', async () => {
    const build = parseBuild(kustomize(path.join(ISTIO, '../kserve'), KUBECTL ?? 'kubectl'), 'deploy/kserve');
    const runtime = build.objects.find(({ kind }) => kind === 'ClusterServingRuntime') as Runtime;
    const [container, ...others] = runtime.spec.containers;
    expect(others).toEqual([]);
    expect(container?.name).toBe('kserve-container');
    expect(container?.image).toMatch(/@sha256:[0-9a-f]{64}$/);
    // The first port becomes port 80 of the Service; by `h2c` in its name it is HTTP/2 there.
    expect(container?.ports?.map(({ name, containerPort }) => `${name} ${containerPort}`)).toEqual([
      'h2c 8001',
      'http 8002',
    ]);
    const env = Object.fromEntries((container?.env ?? []).map(({ name, value }) => [name, value ?? '']));
    const printed = await output(process.execPath, [PROGRAM, ...(container?.args ?? []), '--print-config'], { env });
    expect(printed).toMatch(/^modelRepository +\/mnt\/models /m);
    // KServe gives a pod 30 s.
    const ms = (name: string) => Number(new RegExp(`^${name} +(\\d+) `, 'm').exec(printed)?.[1]);
    expect(ms('lameDuckMs') + ms('drainTimeoutMs')).toBeLessThanOrEqual(25_000);
    const mailbox = container?.volumeMounts?.find(({ mountPath }) => mountPath === '/dev/shm');
    expect(runtime.spec.volumes?.find(({ name }) => name === mailbox?.name)?.emptyDir?.medium).toBe('Memory');
  });
});

describe.skipIf(KUBECTL === undefined)('lint:deploy', () => {
  const run = (...args: string[]) => runProgram(process.execPath, [LINT, ...args], { env: { KUBECTL: KUBECTL ?? '' } });

  test('says of a build that nothing was found, and ends with 0', async () => {
    const { code, stdout } = await run('deploy/istio/overlays/plain');
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'deploy/istio/overlays/plain: nothing found\n' });
  });

  test('says what it found, by which rule, and ends with 1', async () => {
    const { code, stdout } = await run('test/deploy/refused/misspelt-field.yaml');
    expect(code).toBe(1);
    expect(stdout).toMatch(
      /^test\/deploy\/refused\/misspelt-field\.yaml: DestinationRule\/misspelt-field: .+ \(outlier-statuses\)$/m,
    );
  });

  test('prints findings as JSON, one a line', async () => {
    const { stdout } = await run('--json', 'test/deploy/refused/misspelt-field.yaml');
    for (const line of stdout.trim().split('\n')) {
      expect(JSON.parse(line)).toMatchObject({
        source: expect.any(String),
        rule: expect.any(String),
        object: expect.any(String),
      });
    }
  });

  test('says why there is no build, and ends with 2', async () => {
    expect(await run('deploy/nowhere')).toMatchObject({
      code: 2,
      stderr: 'lint:deploy: deploy/nowhere: there is no such directory or file\n',
    });
    const { code, stderr } = await run('docs');
    expect(code).toBe(2);
    expect(stderr).toContain('kustomization.yaml');
  });

  test('lists the rules with the fault that each prevents', async () => {
    expect((await run('--rules')).stdout).toMatch(/^retry-budget\n {4}\S/m);
  });
});
