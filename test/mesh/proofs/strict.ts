import assert from 'node:assert/strict';
import { GRPC_PORT, type Mesh, SERVICE } from '../rig/mesh.ts';
import { type Proof, replace } from './proof.ts';
import { inference } from './requests.ts';

/** Past the Service: a client without a proxy finds none, since there is no kube-proxy in the rig. */
async function fromOutside(mesh: Mesh, port: number): Promise<string> {
  const [pod] = mesh.gateways('stable');
  assert(pod !== undefined);
  const target = `${pod.ip}:${port}`;
  const { statuses } = await mesh.calls('outsider', { ...inference(), target, authority: `${SERVICE}:${port}` });
  return Object.keys(statuses).join();
}

export const strict: Proof = {
  name: 'strict',
  promise:
    'Whoever speaks cleartext to a pod gets no answer on any port of the gateway, whatever account it runs under.',
  overlay: 'canary',
  async prove(mesh) {
    const ports = [GRPC_PORT, 8002];
    const statuses = await Promise.all(ports.map((port) => fromOutside(mesh, port)));
    assert.deepEqual(
      statuses,
      ports.map(() => '14'),
      `a client without a sidecar got statuses ${statuses.join(', ')}`,
    );
    return `cleartext to ports ${ports.join(' and ')} of a pod: UNAVAILABLE, the connection is reset`;
  },
  mutation: {
    fault: 'PERMISSIVE instead of STRICT',
    patches: [{ kind: 'PeerAuthentication', name: 'default', operations: [replace('/spec/mtls/mode', 'PERMISSIVE')] }],
  },
};
