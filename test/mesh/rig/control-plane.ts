/** etcd, kube-apiserver and kube-controller-manager, on the sandbox's own network. */

import { execFile, execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { Daemon } from './daemon.ts';
import { Kubernetes } from './kubernetes.ts';
import { WORK } from './sandbox.ts';
import type { Toolbox } from './toolbox.ts';

const run = promisify(execFile);

/** The address of all that is no pod: control plane, kubelet, tests. Pods are in the same network, behind a bridge. */
export const HUB = '10.244.0.1';
export const BRIDGE = 'br0';

const TOKEN = 'rig';
/** There is no scheduler, because the kubelet binds pods itself, and no kube-proxy, because only proxies dial services. */
const CONTROLLERS = [
  'deployment-controller',
  'replicaset-controller',
  'endpointslice-controller',
  'serviceaccount-controller',
  'namespace-controller',
  'disruption-controller',
  'garbage-collector-controller',
];

export interface ControlPlane {
  readonly kubernetes: Kubernetes;
  readonly kubeconfig: string;
  /** Runs kubectl. Resolves with its output. @throws Error with what it said */
  kubectl(args: readonly string[], input?: string): Promise<string>;
}

export async function startControlPlane(toolbox: Toolbox): Promise<ControlPlane> {
  buildBridge();
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const serviceAccountKey = write('service-account.key', privateKey.export({ type: 'pkcs1', format: 'pem' }));
  const tokens = write('tokens.csv', `${TOKEN},admin,admin,system:masters\n`);
  const certificates = path.join(WORK, 'certificates');

  new Daemon('etcd', [
    toolbox.etcd,
    '--data-dir=.',
    '--listen-client-urls=http://127.0.0.1:2379',
    '--advertise-client-urls=http://127.0.0.1:2379',
    '--listen-peer-urls=http://127.0.0.1:2380',
    '--unsafe-no-fsync',
  ]);
  const apiserver = new Daemon('kube-apiserver', [
    toolbox.kubeApiserver,
    '--etcd-servers=http://127.0.0.1:2379',
    `--bind-address=${HUB}`,
    `--advertise-address=${HUB}`,
    `--cert-dir=${certificates}`,
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${serviceAccountKey}`,
    `--service-account-signing-key-file=${serviceAccountKey}`,
    '--authorization-mode=RBAC',
    `--token-auth-file=${tokens}`,
    '--service-cluster-ip-range=10.96.0.0/16',
    '--allow-privileged=true',
    '--disable-admission-plugins=ServiceAccount',
    // Webhooks reach istiod through its EndpointSlice: a service's address leads nowhere without a kube-proxy.
    '--enable-aggregator-routing=true',
  ]);
  const certificate = path.join(certificates, 'apiserver.crt');
  await apiserver.until(async () => fs.existsSync(certificate));
  const kubernetes = new Kubernetes({
    host: HUB,
    port: 6443,
    certificate: fs.readFileSync(certificate, 'utf8'),
    token: TOKEN,
  });
  await apiserver.until(async () => (await kubernetes.text('/readyz')) === 'ok');
  const kubeconfig = write('kubeconfig', kubeconfigOf(certificate));

  new Daemon('kube-controller-manager', [
    toolbox.kubeControllerManager,
    `--kubeconfig=${kubeconfig}`,
    `--service-account-private-key-file=${serviceAccountKey}`,
    '--leader-elect=false',
    '--bind-address=127.0.0.1',
    `--controllers=${CONTROLLERS.join(',')}`,
  ]);

  const env = { ...process.env, KUBECONFIG: kubeconfig };
  const kubectl = async (args: readonly string[], input?: string): Promise<string> => {
    const running = run(toolbox.kubectl, args, { env, maxBuffer: 64 << 20 });
    running.child.stdin?.end(input);
    return (await running).stdout;
  };
  await kubectl(['apply', '--server-side', '-f', toolbox.crds]);
  return { kubernetes, kubeconfig, kubectl };
}

function buildBridge(): void {
  const commands = [
    'link set lo up',
    `link add ${BRIDGE} type bridge`,
    `addr add ${HUB}/16 dev ${BRIDGE}`,
    `link set ${BRIDGE} up`,
  ];
  for (const command of commands) execFileSync('ip', command.split(' '));
  fs.writeFileSync('/proc/sys/net/ipv4/ip_forward', '1');
}

function write(name: string, text: string | Buffer): string {
  const file = path.join(WORK, name);
  fs.writeFileSync(file, text);
  return file;
}

function kubeconfigOf(certificate: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'rig', cluster: { server: `https://${HUB}:6443`, 'certificate-authority': certificate } }],
    users: [{ name: 'admin', user: { token: TOKEN } }],
    contexts: [{ name: 'rig', context: { cluster: 'rig', user: 'admin' } }],
    'current-context': 'rig',
  });
}
