/** The environment and the command line of a container. */

import { fieldOf, type Placement, resourceOf } from './downward.ts';
import { type Kubernetes, KubernetesError } from './kubernetes.ts';
import type { ContainerSpec, EnvironmentVariable, PodObject } from './pod-spec.ts';

export type Environment = Readonly<Record<string, string>>;

const DEFAULTS: Environment = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/tmp',
};

/** @throws Error where it refers to a missing object */
export async function environmentOf(
  kubernetes: Kubernetes,
  pod: PodObject,
  placement: Placement,
  container: ContainerSpec,
): Promise<Environment> {
  const env: Record<string, string> = { ...DEFAULTS, HOSTNAME: pod.metadata.name };
  const namespace = pod.metadata.namespace ?? '';
  for (const { prefix = '', configMapRef } of container.envFrom ?? []) {
    if (configMapRef === undefined) throw new Error(`${container.name}: envFrom takes only a configMapRef here`);
    const data = await configMap(kubernetes, namespace, configMapRef.name, configMapRef.optional);
    for (const [key, value] of Object.entries(data)) env[prefix + key] = value;
  }
  for (const variable of container.env ?? []) {
    const value = await resolve(kubernetes, pod, placement, container, variable);
    if (value !== undefined) env[variable.name] = expand(value, env);
  }
  return env;
}

async function resolve(
  kubernetes: Kubernetes,
  pod: PodObject,
  placement: Placement,
  container: ContainerSpec,
  { name, value, valueFrom }: EnvironmentVariable,
): Promise<string | undefined> {
  if (valueFrom === undefined) return value ?? '';
  const { fieldRef, resourceFieldRef, configMapKeyRef } = valueFrom;
  if (fieldRef !== undefined) return fieldOf(pod, placement, fieldRef.fieldPath);
  if (resourceFieldRef !== undefined) return resourceOf(container, resourceFieldRef.resource);
  if (configMapKeyRef === undefined) throw new Error(`${container.name}: the rig cannot find a value for ${name}`);
  const { key, optional } = configMapKeyRef;
  const data = await configMap(kubernetes, pod.metadata.namespace ?? '', configMapKeyRef.name, optional);
  if (data[key] === undefined && optional !== true) throw new Error(`ConfigMap ${configMapKeyRef.name} has no ${key}`);
  return data[key];
}

/** Replaces `$(NAME)`; a name that is not known stays as it is, as in Kubernetes. */
export function expand(text: string, env: Environment): string {
  return text.replace(/\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)/g, (whole, name: string) => env[name] ?? whole);
}

/** The data of a ConfigMap. @throws KubernetesError where it is not there and is not optional */
export async function configMap(
  kubernetes: Kubernetes,
  namespace: string,
  name: string,
  optional = false,
): Promise<Readonly<Record<string, string>>> {
  try {
    const path = `/api/v1/namespaces/${namespace}/configmaps/${name}`;
    return (await kubernetes.get<{ data?: Record<string, string> }>(path)).data ?? {};
  } catch (error) {
    if (optional && error instanceof KubernetesError && error.status === 404) return {};
    throw error;
  }
}
