import assert from 'node:assert/strict';
import { expecting, type Proof, remove } from './proof.ts';
import { inference, MODEL_INFER } from './requests.ts';
import { ofTrack, sum, Tally } from './tally.ts';

const CALLS = 300;

export const canaryHeader: Proof = {
  name: 'canary-header',
  promise: 'Whoever says `x-canary: always` gets the canary, always.',
  overlay: 'canary',
  async prove(mesh) {
    await mesh.calm();
    const tally = await Tally.start(mesh, MODEL_INFER);
    const { statuses } = await mesh.calls('caller', {
      ...inference(),
      metadata: { 'x-canary': 'always' },
      count: CALLS,
      parallel: 8,
    });
    assert.deepEqual(statuses, { '0': CALLS });
    const canary = sum(ofTrack(await tally.answers(), 'canary'));
    assert.equal(canary, CALLS);
    return `canary ${canary} of ${CALLS}`;
  },
  mutation: {
    fault: 'the route by header is gone',
    patches: [
      {
        kind: 'VirtualService',
        name: 'tensorgate',
        operations: [expecting('/spec/http/0/name', 'canary-by-header'), remove('/spec/http/0')],
      },
    ],
  },
};
