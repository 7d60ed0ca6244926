import assert from 'node:assert/strict';
import { once } from 'node:events';
import tls from 'node:tls';
import { GRPC_PORT } from '../rig/mesh.ts';
import type { Pod } from '../rig/pod.ts';
import { type Proof, replace } from './proof.ts';
import { inference } from './requests.ts';

const SERVER = 'spiffe://cluster.local/ns/inference/sa/tensorgate';

/** The certificate that the proxy of a pod shows to a client, and whether it accepts a client without one. */
async function shake(pod: Pod, root: string): Promise<{ readonly name: string; readonly isLetIn: boolean }> {
  const socket = tls.connect({
    host: pod.ip,
    port: GRPC_PORT,
    ca: root,
    ALPNProtocols: ['istio-peer-exchange', 'istio'],
    // Such certificates name no host; the name is compared below.
    checkServerIdentity: () => undefined,
  });
  await once(socket, 'secureConnect');
  const name = socket.getPeerCertificate().subjectaltname?.replace(/^URI:/, '') ?? '';
  // In TLS 1.3 a server says no to the missing certificate after the client is done.
  socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0');
  const isLetIn = await new Promise<boolean>((resolve) => {
    socket.once('data', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
  });
  socket.destroy();
  return { name, isLetIn };
}

export const identity: Proof = {
  name: 'identity',
  promise:
    'Both sides show certificates of the mesh: the server that of its account, and a client is known by its own.',
  overlay: 'canary',
  async prove(mesh) {
    const map = '/api/v1/namespaces/shop/configmaps/istio-ca-root-cert';
    const { data } = await mesh.control.kubernetes.get<{ data: Record<string, string> }>(map);
    const shaken = await Promise.all(mesh.gateways().map((pod) => shake(pod, data['root-cert.pem'] ?? '')));
    assert.deepEqual([...new Set(shaken.map(({ name }) => name))], [SERVER]);
    assert(!shaken.some(({ isLetIn }) => isLetIn), 'a client without a certificate was let in');

    const pinned = (await mesh.proxyConfig(mesh.client('caller'))).includes(`"exact": "${SERVER}"`);
    assert(pinned, `the caller's proxy would take another server for ${SERVER}`);

    const known = await mesh.calls('caller', inference());
    const unknown = await mesh.calls('stranger', inference());
    assert.deepEqual([known.statuses, unknown.statuses], [{ '0': 1 }, { '7': 1 }]);
    return `${shaken.length} servers are ${SERVER}; shop/recommender is let in, elsewhere/stranger is not (7)`;
  },
  mutation: {
    fault: "another account's name in the policy of inference",
    patches: [
      {
        kind: 'AuthorizationPolicy',
        name: 'tensorgate-infer',
        operations: [
          replace('/spec/rules/0/from/0/source/principals', [
            'cluster.local/ns/shop/sa/checkout',
            'cluster.local/ns/elsewhere/sa/recommender',
          ]),
        ],
      },
    ],
  },
};
