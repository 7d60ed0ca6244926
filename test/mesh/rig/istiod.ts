/** istiod, installed from its own charts and run as a plain process. */

import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { type ControlPlane, HUB } from './control-plane.ts';
import { Daemon } from './daemon.ts';
import { addHost } from './hosts.ts';
import type { KubernetesObject } from './kubernetes.ts';
import { WORK } from './sandbox.ts';
import type { Toolbox } from './toolbox.ts';

const run = promisify(execFile);

/** Where istiod's own debug pages are, without a password for programs on its host. */
const DEBUG = 'http://127.0.0.1:8080';

const INSTALLATION = {
  apiVersion: 'install.istio.io/v1alpha1',
  kind: 'IstioOperator',
  spec: {
    profile: 'minimal',
    meshConfig: {
      accessLogFile: '/dev/stdout',
      // Stock Envoy has none of Istio's own filters: what would add them is off here and in the environment below.
      defaultProviders: { metrics: [] },
      defaultConfig: {
        concurrency: 1,
        discoveryAddress: 'istiod.istio-system.svc:15012',
        proxyStatsMatcher: { inclusionRegexps: ['.*'] },
      },
    },
    values: { telemetry: { enabled: false }, global: { proxy: { logLevel: 'warning' } } },
  },
};

const ENVIRONMENT = {
  POD_NAME: 'istiod-0',
  POD_NAMESPACE: 'istio-system',
  SERVICE_ACCOUNT: 'istiod',
  REVISION: 'default',
  CLUSTER_ID: 'Kubernetes',
  PILOT_CERT_PROVIDER: 'istiod',
  PILOT_ENABLE_METADATA_EXCHANGE: 'false',
  PILOT_ENABLE_ALPN_FILTER: 'false',
  INJECTION_WEBHOOK_CONFIG_NAME: 'istio-sidecar-injector',
};

const VALIDATOR = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/istio-validator-istio-system';
const INJECTOR = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/istio-sidecar-injector';

interface WebhookConfiguration extends KubernetesObject {
  readonly webhooks: readonly {
    readonly name: string;
    readonly failurePolicy: string;
    readonly clientConfig: { readonly caBundle?: string };
  }[];
}

/** Installs and starts it. Resolves when it serves proxies and both its webhooks are in force. */
export async function startIstiod(toolbox: Toolbox, { kubernetes, kubeconfig, kubectl }: ControlPlane): Promise<void> {
  await kubernetes.create('/api/v1/namespaces', { metadata: { name: 'istio-system' } });
  await kubectl(['apply', '--server-side', '-f', '-'], await renderInstallation(toolbox));
  // As generated, it skips all objects without a label of Istio's, which is all of ours: everything would be admitted.
  await kubectl([
    'patch',
    'validatingwebhookconfiguration',
    'istio-validator-istio-system',
    '--type=json',
    '--patch=[{"op": "replace", "path": "/webhooks/0/objectSelector", "value": {}}]',
  ]);
  await kubectl(['-n', 'istio-system', 'scale', 'deployment', '--all', '--replicas=0']);
  await kubectl(['apply', '-f', '-'], JSON.stringify(endpoints()));
  addHost(HUB, ['istiod.istio-system.svc']);

  const istiod = new Daemon(
    'istiod',
    [
      toolbox.istiod,
      'discovery',
      `--kubeconfig=${kubeconfig}`,
      '--domain=cluster.local',
      '--monitoringAddr=:15014',
      '--keepaliveMaxServerConnectionAge=30m',
    ],
    { PATH: process.env['PATH'], HOME: '/tmp', ...ENVIRONMENT },
  );
  await istiod.until(async () => (await fetch(`${DEBUG}/ready`)).ok);
  await istiod.until(async () => {
    const validator = await kubernetes.get<WebhookConfiguration>(VALIDATOR);
    const injector = await kubernetes.get<WebhookConfiguration>(INJECTOR);
    return (
      validator.webhooks.every(({ failurePolicy }) => failurePolicy === 'Fail') &&
      [...validator.webhooks, ...injector.webhooks].every(({ clientConfig }) => (clientConfig.caBundle ?? '') !== '')
    );
  });
}

async function renderInstallation(toolbox: Toolbox): Promise<string> {
  const file = path.join(WORK, 'installation.json');
  fs.writeFileSync(file, JSON.stringify(INSTALLATION));
  const args = ['manifest', 'generate', `--manifests=${toolbox.manifests}`, `--filename=${file}`];
  return (await run(toolbox.istioctl, args, { maxBuffer: 64 << 20 })).stdout;
}

function endpoints(): unknown {
  const ports = { 'grpc-xds': 15010, 'https-dns': 15012, 'https-webhook': 15017, 'http-monitoring': 15014 };
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: 'istiod-rig',
      namespace: 'istio-system',
      labels: { 'kubernetes.io/service-name': 'istiod' },
    },
    addressType: 'IPv4',
    ports: Object.entries(ports).map(([name, port]) => ({ name, port })),
    endpoints: [{ addresses: [HUB], conditions: { ready: true } }],
  };
}

/** One proxy's state, as istiod sees it: a version is sent, and acknowledged or not. */
interface SyncStatus {
  readonly proxy: string;
  readonly [key: `${string}_sent` | `${string}_acked`]: string;
}

/** Whether every proxy has acknowledged whatever was sent to it. */
export async function isSynchronized(): Promise<boolean> {
  const statuses = (await (await fetch(`${DEBUG}/debug/syncz`)).json()) as SyncStatus[];
  return statuses.every((status) =>
    ['cluster', 'listener', 'route', 'endpoint'].every(
      (type) => (status[`${type}_sent`] ?? '') === (status[`${type}_acked`] ?? ''),
    ),
  );
}
