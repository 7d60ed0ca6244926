import assert from 'node:assert/strict';
import { add, type Proof } from './proof.ts';

const PATIENCE_S = 30;

export const accepted: Proof = {
  name: 'accepted',
  promise: 'Every proxy accepts all that istiod makes of the manifests, the EnvoyFilter of ORCA included.',
  overlay: 'orca',
  async prove(mesh) {
    // A proxy that refuses an update continues with the old one, and reports that only to istiod.
    await mesh.settled(PATIENCE_S);
    const pods = mesh.proxied;
    const dumps = await Promise.all(pods.map(async (pod) => ({ pod, text: await mesh.proxyConfig(pod) })));
    const refusing = dumps.filter(({ text }) => text.includes('"error_state"')).map(({ pod }) => pod.name);
    assert.deepEqual(refusing, [], `${refusing.join(', ')} refused an update`);
    return `${pods.length} proxies acknowledge all that istiod has sent them`;
  },
  mutation: {
    fault: 'failover by locality together with ORCA',
    patches: [
      {
        kind: 'DestinationRule',
        name: 'tensorgate',
        operations: [
          add('/spec/trafficPolicy/loadBalancer/localityLbSetting', {
            enabled: true,
            failoverPriority: ['topology.kubernetes.io/zone'],
          }),
        ],
      },
    ],
  },
};
