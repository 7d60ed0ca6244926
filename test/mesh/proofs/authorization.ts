import assert from 'node:assert/strict';
import { rpcsOf, SERVICES } from '../../support/stock-client.ts';
import { type ClientName, GRPC_PORT, type Mesh, SERVICE } from '../rig/mesh.ts';
import { add, type Proof } from './proof.ts';
import { INFERENCE, rpc } from './requests.ts';

/** RPCs that change the server, and so are only for its operators. Written down here again, so that the YAML is held to it. */
const CONTROL: ReadonlySet<string> = new Set([
  ...[
    'RepositoryModelLoad',
    'RepositoryModelUnload',
    'SystemSharedMemoryRegister',
    'SystemSharedMemoryUnregister',
    'CudaSharedMemoryRegister',
    'CudaSharedMemoryUnregister',
    'TraceSetting',
    'LogSettings',
  ].map((name) => `${INFERENCE}/${name}`),
  ...['Start', 'Status', 'Abort', 'Forget'].map((name) => `tensorgate.v1.Rollout/${name}`),
]);

/** The expected outcome of an RPC for a client: refused by the mesh, cut off, or let through to the gateway's own answer. */
type Right = 'denied' | 'cut off' | 'let in';

function rightOf(client: ClientName, method: string): Right {
  if (client === 'outsider') return 'cut off';
  if (client === 'stranger') return 'denied';
  return client === 'admin' || !CONTROL.has(method) ? 'let in' : 'denied';
}

async function rightSeen(mesh: Mesh, client: ClientName, service: string, name: string): Promise<Right> {
  const [pod] = mesh.gateways('stable');
  assert(pod !== undefined);
  // Without a proxy, the pod is dialled itself.
  const way = client === 'outsider' ? { target: `${pod.ip}:${GRPC_PORT}`, authority: `${SERVICE}:${GRPC_PORT}` } : {};
  const { statuses, texts } = await mesh.calls(client, { ...rpc(name, {}, service), ...way, deadlineMs: 3000 });
  if (statuses['14'] !== undefined) return 'cut off';
  return texts['RBAC: access denied'] === undefined ? 'let in' : 'denied';
}

export const authorization: Proof = {
  name: 'authorization',
  promise: 'Of every RPC of the protocol, each client gets what the policies grant to its identity, and nothing more.',
  overlay: 'canary',
  async prove(mesh) {
    const rpcs = SERVICES.flatMap((service) => rpcsOf(service).map((name) => ({ service, name })));
    const clients = ['caller', 'admin', 'stranger', 'outsider'] as const;
    const wrong: string[] = [];
    for (const client of clients) {
      for (const { service, name } of rpcs) {
        const [want, got] = [rightOf(client, `${service}/${name}`), await rightSeen(mesh, client, service, name)];
        if (want !== got) wrong.push(`${client} ${service}/${name}: ${got} instead of ${want}`);
      }
    }
    assert.deepEqual(wrong, [], wrong.join('; '));
    return `${rpcs.length} RPCs x ${clients.length} clients as granted; ${CONTROL.size} of them for the admin alone`;
  },
  mutation: {
    fault: 'callers may control the server',
    patches: [
      {
        kind: 'AuthorizationPolicy',
        name: 'tensorgate-control',
        operations: [add('/spec/rules/0/from/0/source/principals/-', 'cluster.local/ns/shop/sa/recommender')],
      },
      {
        kind: 'AuthorizationPolicy',
        name: 'tensorgate-control-deny',
        operations: [add('/spec/rules/0/from/0/source/notPrincipals/-', 'cluster.local/ns/shop/sa/recommender')],
      },
    ],
  },
};
