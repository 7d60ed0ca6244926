/** The programs of the rig, as `setup.sh` installs them, and their paths. */

import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export interface Toolbox {
  readonly etcd: string;
  readonly kubeApiserver: string;
  readonly kubeControllerManager: string;
  readonly istiod: string;
  readonly istioctl: string;
  readonly pilotAgent: string;
  readonly envoy: string;
  readonly kubectl: string;
  /** A folder of custom resource definitions: Istio's, the Gateway API's standard channel, InferencePool's. */
  readonly crds: string;
  /** Istio's charts and profiles. */
  readonly manifests: string;
  /** The template from which pilot-agent makes Envoy's bootstrap. */
  readonly bootstrapTemplate: string;
}

const SETUP = fileURLToPath(new URL('../setup.sh', import.meta.url));

/** Installs missing programs, with its progress on stderr. @throws Error where something cannot be installed */
export function openToolbox(): Toolbox {
  const { status, stdout } = spawnSync(SETUP, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  if (status !== 0) throw new Error(`${path.relative(process.cwd(), SETUP)} failed; what it said is above`);
  const paths = new Map(stdout.split('\n').map((line) => line.split('=', 2) as [string, string]));
  const at = (name: string, ...parts: string[]): string => {
    const found = paths.get(name);
    if (found === undefined) throw new Error(`setup.sh does not say where ${name} is`);
    return path.join(found, ...parts);
  };
  return {
    etcd: at('bin', 'etcd'),
    kubeApiserver: at('bin', 'kube-apiserver'),
    kubeControllerManager: at('bin', 'kube-controller-manager'),
    istiod: at('bin', 'istiod'),
    istioctl: at('bin', 'istioctl'),
    pilotAgent: at('bin', 'pilot-agent'),
    envoy: at('envoy'),
    kubectl: at('kubectl'),
    crds: at('crds'),
    manifests: at('istio', 'manifests'),
    bootstrapTemplate: at('istio', 'envoy_bootstrap.json'),
  };
}
