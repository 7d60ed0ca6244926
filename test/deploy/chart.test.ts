/** The Helm chart: generated from the components of deploy/istio, and with the same objects under the same choices. */

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import { chartTemplates } from '../../deploy/helm/chart.ts';
import { valuesSchema } from '../../deploy/helm/values-schema.ts';
import { build, type Choices } from '../../deploy/helm/variants.ts';
import { Build, NAME_LABEL, parseBuild } from '../../deploy/lint/build.ts';
import type { KubeObject } from '../../deploy/lint/kinds.ts';
import { lint } from '../../deploy/lint/lint.ts';
import packageJson from '../../package.json' with { type: 'json' };
import { printedCommands } from '../docs/printed-commands.ts';
import { helm } from '../tools/tools.ts';
import { KUBECTL, overlay } from './builds.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const CHART = path.join(ROOT, 'deploy/helm/tensorgate');
const EXAMPLES = fs.readdirSync(path.join(CHART, 'ci')).map((file) => file.replace('-values.yaml', ''));
const HELM = helm();
if (HELM === undefined) console.warn('SKIPPED: helm is not installed (test/tools/setup.sh does)');

function run(...args: string[]) {
  return spawnSync(HELM ?? 'helm', args, { encoding: 'utf8', maxBuffer: 2 ** 26 });
}

function rendered(release: string, ...args: string[]): readonly KubeObject[] {
  const { status, stdout, stderr } = run('template', release, CHART, '--namespace', 'inference', ...args);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return parseBuild(stdout, release).objects;
}

/** Commands of the page that need no cluster. */
function documented(): string[] {
  return printedCommands()
    .filter(({ page, text }) => page === 'deploy/helm/README.md' && /^helm (lint|template) /.test(text))
    .map(({ text }) => text);
}

function valuesOf(example: string): string[] {
  return ['--values', path.join(CHART, 'ci', `${example}-values.yaml`)];
}

/** Each `path=value` as an option. */
function sets(...values: readonly string[]): string[] {
  return values.flatMap((value) => ['--set', value]);
}

const OF_HELM = /^(helm\.sh\/|checksum\/|app\.kubernetes\.io\/(instance|version|managed-by)$)/;

/** Without what a chart has by custom and kustomize does differently: labels of the release, names with a hash or a prefix. */
function comparable(objects: readonly KubeObject[]): unknown[] {
  return objects
    .map((object) => {
      const text = JSON.stringify(object)
        .replaceAll(/"tensorgate-settings-[0-9a-z]{10}"/g, '"tensorgate-settings"')
        .replaceAll('"tensorgate-waypoint-only', '"waypoint-only');
      const copy: KubeObject = JSON.parse(text);
      const { [NAME_LABEL]: _, ...labels } = copy.metadata.labels ?? {};
      return withoutCustoms({ ...copy, metadata: { ...copy.metadata, labels } });
    })
    .sort(byText);
}

/** Lists of these have no order; rules of routes have one. */
const SETS = new Set(['volumes', 'volumeMounts', 'ports', 'ingress', 'egress']);

function withoutCustoms(value: unknown, key = ''): unknown {
  if (Array.isArray(value)) {
    const items = value.map((item) => withoutCustoms(item));
    return SETS.has(key) ? items.toSorted(byText) : items;
  }
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value)
    .filter(([name]) => !OF_HELM.test(name) && name !== 'imagePullPolicy')
    .map(([name, each]) => [name, withoutCustoms(each, name)] as const)
    .filter(([name, each]) => !/^(labels|annotations)$/.test(name) || Object.keys(Object(each)).length > 0)
    .sort(([one], [other]) => (one < other ? -1 : 1));
  return Object.fromEntries(entries);
}

function byText(one: unknown, other: unknown): number {
  return JSON.stringify(one) < JSON.stringify(other) ? -1 : 1;
}

describe.skipIf(KUBECTL === undefined)('the files of the chart', () => {
  test('are generated from deploy/istio: `npm run chart` changes none of them', { timeout: 300_000 }, () => {
    const directory = path.join(CHART, 'templates');
    const written = fs
      .readdirSync(directory)
      .map((file) => [file, fs.readFileSync(path.join(directory, file), 'utf8')] as const)
      .filter(([, text]) => text.includes('npm run chart'));
    expect(new Map(written)).toEqual(new Map([...chartTemplates(KUBECTL ?? '')].sort()));
  });

  test('have a schema with every setting of the server: `npm run chart` writes it', () => {
    const schema = JSON.parse(fs.readFileSync(path.join(CHART, 'values.schema.json'), 'utf8'));
    expect(schema).toEqual(valuesSchema());
  });
});

test('the chart and the server have the same version', () => {
  const text = fs.readFileSync(path.join(CHART, 'Chart.yaml'), 'utf8');
  expect(text).toContain(`\nversion: ${packageJson.version}\nappVersion: ${packageJson.version}\n`);
});

describe.skipIf(HELM === undefined || KUBECTL === undefined)('helm', () => {
  test.each(EXAMPLES)('lints the values of %s without a finding, and so does the lint of deploy/istio', (example) => {
    const { status, stdout } = run('lint', '--strict', CHART, ...valuesOf(example));
    expect({ status, stdout }).toMatchObject({ status: 0, stdout: expect.not.stringMatching(/WARNING|ERROR/) });
    expect(lint(new Build(rendered('tensorgate', ...valuesOf(example))))).toEqual([]);
  });

  test.each(documented())('runs `%s` as deploy/helm/README.md prints it', (command) => {
    const PATH = [HELM ?? '', process.execPath]
      .map((program) => path.dirname(program))
      .concat(process.env['PATH'] ?? '');
    const env = { ...process.env, KUBECTL: KUBECTL ?? '', PATH: PATH.join(path.delimiter) };
    const { status, stderr } = spawnSync('bash', ['-o', 'pipefail', '-c', command], {
      cwd: ROOT,
      env,
      encoding: 'utf8',
    });
    // Where a value is missing, `helm lint` has notices.
    expect({ status, stderr: stderr.replaceAll(/^.*\[INFO\].*\n/gm, '') }).toEqual({ status: 0, stderr: '' });
  });

  test.each(EXAMPLES)('renders the objects of the overlay %s', (example) => {
    expect(comparable(rendered('tensorgate', ...valuesOf(example)))).toEqual(comparable(overlay(example).objects));
  });

  const monitored = sets('monitoring.podMonitor.enabled=true', 'monitoring.prometheusRule.enabled=true');
  const uri = sets('models.source=uri', 'models.uri.address=s3://example-bucket/models');
  const initializer = `example.com/kserve/storage-initializer@sha256:${'0'.repeat(64)}`;
  /** `components/models-init` gives both tracks the same image. */
  const MODELS = `example.com/tensorgate-models@sha256:${'0'.repeat(64)}`;
  test.each<[string, Partial<Choices>, string[]]>([
    ['plain', { models: 'copy', autoscaler: 'hpa' }, sets('models.source=copy', 'autoscaling.enabled=true')],
    [
      'plain',
      { models: 'pvc', control: 'explicit', tls: 'on' },
      sets('models.source=pvc', 'models.controlMode=explicit', 'tls.enabled=true', 'tls.secretName=tensorgate-tls'),
    ],
    [
      'plain',
      { models: 'uri', tls: 'on' },
      [...uri, ...sets(`models.uri.initializer=${initializer}`, 'tls.enabled=true', 'tls.secretName=tensorgate-tls')],
    ],
    [
      'sidecar',
      { mesh: 'sidecar', models: 'uri', autoscaler: 'keda' },
      [...uri, ...sets(`models.uri.initializer=${initializer}`, 'autoscaling.enabled=true', 'autoscaling.engine=keda')],
    ],
    [
      'sidecar-canary',
      { mesh: 'sidecar', canary: 'on', models: 'pvc', autoscaler: 'hpa', control: 'explicit' },
      sets('models.source=pvc', 'autoscaling.enabled=true', 'models.controlMode=explicit'),
    ],
    [
      'ambient-canary',
      { mesh: 'ambient', canary: 'on', models: 'copy', autoscaler: 'keda' },
      sets(
        'models.source=copy',
        `canary.models.image.reference=${MODELS}`,
        'autoscaling.enabled=true',
        'autoscaling.engine=keda',
      ),
    ],
  ])('renders the objects of components with values of %s and %o', (example, choices, values) => {
    const objects = rendered('tensorgate', ...valuesOf(example), ...monitored, ...values);
    expect(comparable(objects)).toEqual(comparable(build(choices, KUBECTL ?? '')));
  });

  test('gives two releases of a namespace different names and selectors', () => {
    const values = [
      ...valuesOf('sidecar'),
      ...monitored,
      ...sets('autoscaling.enabled=true', 'mesh.namespaceWide=false'),
    ];
    const [first, second] = ['pictures', 'sounds'].map((release) => rendered(release, ...values)) as [
      KubeObject[],
      KubeObject[],
    ];
    const ids = (objects: readonly KubeObject[]) => objects.map(({ kind, metadata }) => `${kind}/${metadata.name}`);
    expect(ids(first).filter((id) => ids(second).includes(id))).toEqual([]);
    const text = JSON.stringify(second);
    expect(text).not.toContain('pictures');
    for (const [, selector = ''] of text.matchAll(
      /"(?:selector|podSelector|workloadSelector)":(\{(?:[^{}]|\{[^{}]*\})*\})/g,
    ))
      expect(selector).toContain('sounds');
  });

  test('passes settings to the server with all of their digits, over the settings of the chart', () => {
    const objects = rendered(
      'tensorgate',
      ...valuesOf('plain'),
      ...sets('settings.TENSORGATE_MAX_MESSAGE_BYTES=134217728', 'settings.TENSORGATE_STRICT_READINESS=false'),
    );
    const chart = new Build(objects);
    const [workload] = chart.workloads;
    expect(workload && chart.settingsOf(workload)).toMatchObject({
      maxMessageBytes: 134217728,
      strictReadiness: false,
    });
  });

  test.each([
    ['a misspelt value', ['replicas=2'], "'replicas' not allowed"],
    [
      'a setting that the server does not know',
      ['settings.TENSORGATE_MAX_MESAGE_BYTES=1'],
      'TENSORGATE_MAX_MESAGE_BYTES',
    ],
    ['a mesh that is none', ['mesh.mode=linkerd'], "'none', 'sidecar', 'ambient'"],
    ['a principal with its scheme', ['mesh.callers[0]=spiffe://cluster.local/ns/a/sa/b'], 'spiffe://'],
    ['a mesh without callers', ['mesh.mode=sidecar'], 'mesh.callers is empty'],
    ['a mesh without admins', ['mesh.mode=ambient', 'mesh.callers[0]=cluster.local/ns/a/sa/b'], 'mesh.admins is empty'],
    ['no models', ['models.image.reference='], 'models.image.reference: the reference of the image with your models'],
    ['no image', ['image.repository='], 'image.repository: the image of the server'],
    ['KEDA without series', ['autoscaling.enabled=true', 'autoscaling.engine=keda'], 'monitoring.podMonitor'],
  ])('refuses %s, and says what is expected', (_, values, wanted) => {
    const { status, stderr } = run('template', 'tensorgate', CHART, ...valuesOf('plain'), ...sets(...values));
    expect(status).toBe(1);
    expect(stderr).toContain(wanted);
  });

  test.each(EXAMPLES)('prints notes with the commands that lead to an answer for %s', (example) => {
    // Notes are printed only beside a cluster, so that a template takes their place.
    const copy = fs.mkdtempSync(path.join(os.tmpdir(), 'tensorgate-chart-'));
    onTestFinished(() => fs.rmSync(copy, { recursive: true }));
    fs.cpSync(CHART, copy, { recursive: true });
    const notes = fs.readFileSync(path.join(CHART, 'templates/NOTES.txt'), 'utf8');
    fs.writeFileSync(path.join(copy, 'templates/_notes.tpl'), `{{- define "notes" -}}${notes}{{- end -}}`);
    fs.writeFileSync(path.join(copy, 'templates/notes.yaml'), 'text: {{ include "notes" . | toJson }}\n');
    const only = ['--show-only', 'templates/notes.yaml'];
    const { stdout } = run('template', 'tensorgate', copy, '-n', 'inference', ...only, ...valuesOf(example));
    const { text } = parse(stdout) as { text: string };
    expect(text).toContain('kubectl -n inference rollout status deployment/tensorgate --timeout 10m');
    expect(text).toContain('npx tensorgate models --url 127.0.0.1:8001');
    expect(text).toContain('tensorgate.inference.svc.cluster.local:8001');
  });
});
