import assert from 'node:assert/strict';
import { expecting, type Proof, replace } from './proof.ts';
import { inference, MODEL_INFER } from './requests.ts';
import { describe, ofTrack, sum, Tally } from './tally.ts';

const CALLS = 5000;
/** With 5,000 calls the binomial law allows 1.3 points three times in a thousand; Envoy was seen to scatter more. */
const POINTS = 2.2;

export const canaryShare: Proof = {
  name: 'canary-share',
  promise: 'A tenth of inference goes to the canary.',
  overlay: 'canary',
  async prove(mesh) {
    await mesh.calm();
    const tally = await Tally.start(mesh, MODEL_INFER);
    const { statuses, durationMs } = await mesh.calls('caller', { ...inference(), count: CALLS, parallel: 16 });
    const answers = await tally.answers();
    assert.deepEqual(statuses, { '0': CALLS });
    const canary = sum(ofTrack(answers, 'canary'));
    const percent = (100 * canary) / sum(answers);
    const stable = describe(ofTrack(answers, 'stable'));
    const figures = `canary ${canary} of ${CALLS} (${percent.toFixed(1)} %), stable ${stable}`;
    assert(Math.abs(percent - 10) <= POINTS, figures);
    return `${figures}; ${Math.round((CALLS * 1000) / durationMs)} calls/s`;
  },
  mutation: {
    fault: 'weights 70 and 30',
    patches: [
      {
        kind: 'VirtualService',
        name: 'tensorgate',
        operations: [
          expecting('/spec/http/1/name', 'infer'),
          replace('/spec/http/1/route/0/weight', 70),
          replace('/spec/http/1/route/1/weight', 30),
        ],
      },
    ],
  },
};
