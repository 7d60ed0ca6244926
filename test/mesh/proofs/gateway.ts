/** Changes to a gateway in one pod, past the mesh: its files, its models, and faults of its network. */

import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { processesOf } from '../../support/process-tree.ts';
import { StockClient } from '../../support/stock-client.ts';
import { GRPC_PORT, type Mesh } from '../rig/mesh.ts';
import type { Pod } from '../rig/pod.ts';
import { poll } from '../rig/polling.ts';
import { inference } from './requests.ts';

/** The name of the container. */
export const GATEWAY = 'tensorgate';

const MODEL_FILE = fileURLToPath(new URL('../../../models/cifar10/2/model.onnx', import.meta.url));

/** The bytes of a model file: cifar10's by default. */
const CIFAR10 = fs.readFileSync(MODEL_FILE);
const NO_MODEL = Buffer.from('no model');

/** Puts a model into the pod's own copy of the repository. */
export function installModel(pod: Pod, name: string, bytes: Uint8Array = CIFAR10): void {
  const folder = path.join(pod.container(GATEWAY).volumeAt('/models'), name, '1');
  fs.mkdirSync(folder, { recursive: true });
  const file = path.join(folder, 'model.onnx');
  // Written beside and moved, as one does with files that are served.
  fs.writeFileSync(`${file}.new`, bytes);
  fs.renameSync(`${file}.new`, file);
}

/** Has the gateway load a model. @param config in place of the configuration in the file. @throws ServiceError where it does not load */
export async function loadModel(pod: Pod, name: string, config?: unknown): Promise<void> {
  using client = await connect(pod);
  const parameters = config === undefined ? {} : { config: { string_param: JSON.stringify(config) } };
  await client.call('RepositoryModelLoad', { model_name: name, parameters });
}

/** Has requests of a model wait that long before they run. */
export async function slowDown(pod: Pod, name: string, ms: number): Promise<void> {
  await loadModel(pod, name, {
    version_policy: { all: {} },
    dynamic_batching: { max_queue_delay_microseconds: ms * 1000 },
  });
}

/** A request for a model of `installFragile`: without its version it would be unknown where it is lost. */
export function fragileInference(name: string): ReturnType<typeof inference> {
  return inference(name, { version: '1' });
}

/**
 * A model that some gateways serve and others have lost: its process was killed there, and its file is none any more, so that
 * it cannot be started again. Those answer UNAVAILABLE (`runner_lost`, `model_not_ready`).
 */
export async function installFragile(
  mesh: Mesh,
  name: string,
  sound: readonly Pod[],
  broken: readonly Pod[],
): Promise<void> {
  const pods = [...sound, ...broken];
  for (const pod of pods) installModel(pod, name);
  await Promise.all(pods.map((pod) => loadModel(pod, name)));
  for (const pod of broken) {
    installModel(pod, name, NO_MODEL);
    killRunner(pod, name);
  }
  await poll(`${name} is lost`, 30, async () => {
    const samples = await Promise.all(
      broken.map(async (pod) => (await mesh.metrics(pod))('tensorgate_model_ready', { model: name })),
    );
    return samples.flat().every(({ value }) => value === 0);
  });
}

function killRunner(pod: Pod, name: string): void {
  const { pid } = pod.container(GATEWAY);
  const runners = pid === undefined ? [] : processesOf(pid);
  const runner = runners.find((each) => fs.readFileSync(`/proc/${each}/cmdline`, 'utf8').includes(`${name}:1`));
  if (runner === undefined) throw new Error(`${pod.name} has no runner of ${name}`);
  process.kill(runner, 'SIGKILL');
}

/** Cuts the way from a pod's proxy to its gateway: connections are reset. Probes do not come from there, and go on. */
export async function cutOff(pod: Pod): Promise<void> {
  await pod.network.exec('iptables', '--insert', ...RULE);
}

export async function reconnect(pod: Pod): Promise<void> {
  await pod.network.exec('iptables', '--delete', ...RULE);
}

/** Inbound, Istio's proxy speaks from this address. */
const RULE = ['INPUT', '-p', 'tcp', '-s', '127.0.0.6', '--dport', '8001', '-j', 'REJECT', '--reject-with', 'tcp-reset'];

async function connect(pod: Pod): Promise<StockClient> {
  return new StockClient(`unix:${await pod.forwards.socket(GRPC_PORT)}`);
}
