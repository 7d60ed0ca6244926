import assert from 'node:assert/strict';
import { type Proof, replace } from './proof.ts';
import { inference, MODEL_INFER } from './requests.ts';
import { describe, ofTrack, sum, Tally } from './tally.ts';

const CALLS = 3000;

export const balance: Proof = {
  name: 'balance',
  promise: 'The calls of one client connection are spread over all replicas.',
  overlay: 'canary',
  async prove(mesh) {
    await mesh.calm();
    await mesh.warm();
    const tally = await Tally.start(mesh, MODEL_INFER);
    const { statuses } = await mesh.calls('caller', { ...inference(), count: CALLS, parallel: 8 });
    assert.deepEqual(statuses, { '0': CALLS });
    const stable = ofTrack(await tally.answers(), 'stable');
    const fair = sum(stable) / stable.length;
    const figures = `${describe(stable)} of ${CALLS} calls on one connection`;
    assert(stable.length === 3 && stable.every(({ total }) => Math.abs(total / fair - 1) < 0.15), figures);
    return figures;
  },
  mutation: {
    fault: 'hashing by source address instead of LEAST_REQUEST',
    patches: [
      {
        kind: 'DestinationRule',
        name: 'tensorgate',
        operations: [replace('/spec/trafficPolicy/loadBalancer', { consistentHash: { useSourceIp: true } })],
      },
    ],
  },
};
