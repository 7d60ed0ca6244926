import assert from 'node:assert/strict';
import { poll } from '../rig/polling.ts';
import { callsThroughIngress, furnishIngress } from './ingress.ts';
import { type Proof, replace } from './proof.ts';
import { inference, rpc } from './requests.ts';

export const ingressToken: Proof = {
  name: 'ingress-token',
  promise: 'From outside, a call needs a token of the issuer, and reaches nothing but what the route lists.',
  overlay: 'ingress',
  async prove(mesh) {
    await furnishIngress(mesh);
    // Certificate and keys reach the proxy in their own time.
    await poll('a good token is taken', 60, async () => {
      const { statuses } = await callsThroughIngress(mesh, { ...inference(), deadlineMs: 2000 }, 'issuer');
      return statuses['0'] === 1;
    });
    const good = await callsThroughIngress(mesh, inference(), 'issuer');
    const forged = await callsThroughIngress(mesh, inference(), 'impostor');
    const none = await callsThroughIngress(mesh, inference());
    const control = await callsThroughIngress(mesh, rpc('RepositoryModelLoad', { model_name: 'cifar10' }), 'issuer');
    const [yes, bad, without, unlisted] = [good, forged, none, control].map(({ statuses }) =>
      Object.keys(statuses).join(),
    );
    const figures = `a good token ${yes}, a forged one ${bad}, none ${without}; RepositoryModelLoad with a good one ${unlisted}`;
    assert.deepEqual([yes, bad, without], ['0', '16', '7'], figures);
    assert.equal(unlisted, '12', figures);
    // As docs/mesh.md gives them to callers.
    const texts = [forged, none].map((outcome) => Object.keys(outcome.texts).join());
    assert.deepEqual(texts, ['Jwt verification fails', 'RBAC: access denied']);
    return figures;
  },
  mutation: {
    fault: 'no policy that demands a token',
    patches: [
      {
        kind: 'AuthorizationPolicy',
        name: 'ingress-token',
        operations: [replace('/spec/rules/0/from/0/source', { requestPrincipals: ['nobody/at-all'] })],
      },
    ],
  },
};
