import assert from 'node:assert/strict';
import { loadModel, slowDown } from './gateway.ts';
import { type Proof, replace } from './proof.ts';
import { inference, MODEL, MODEL_INFER } from './requests.ts';
import { describe, ofTrack, Tally } from './tally.ts';

const CALLS = 1500;
/** Much more than an inference takes, on however busy a machine. */
const DELAY_MS = 500;

export const leastRequest: Proof = {
  name: 'least-request',
  promise: 'A replica that takes longer than the others gets fewer calls.',
  overlay: 'canary',
  async prove(mesh) {
    await mesh.calm();
    await mesh.warm();
    const [slow] = mesh.gateways('stable');
    assert(slow !== undefined);
    await slowDown(slow, MODEL, DELAY_MS);
    try {
      const tally = await Tally.start(mesh, MODEL_INFER);
      const { statuses } = await mesh.calls('caller', { ...inference(), count: CALLS, parallel: 24 });
      assert.deepEqual(statuses, { '0': CALLS });
      const stable = ofTrack(await tally.answers(), 'stable');
      const its = stable.filter(({ pod }) => pod === slow);
      const others = stable.filter(({ pod }) => pod !== slow);
      const figures = `slow replica (+${DELAY_MS} ms) ${describe(its)}, others ${describe(others)}`;
      assert((its[0]?.total ?? 0) < 0.6 * Math.min(...others.map(({ total }) => total)), figures);
      return figures;
    } finally {
      await loadModel(slow, MODEL);
    }
  },
  mutation: {
    fault: 'RANDOM instead of LEAST_REQUEST',
    patches: [
      {
        kind: 'DestinationRule',
        name: 'tensorgate',
        operations: [replace('/spec/trafficPolicy/loadBalancer', { simple: 'RANDOM' })],
      },
    ],
  },
};
