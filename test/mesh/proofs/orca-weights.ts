import assert from 'node:assert/strict';
import { loadModel } from './gateway.ts';
import { type Proof, remove, replace } from './proof.ts';
import { inference, MODEL, MODEL_INFER } from './requests.ts';
import { describe, Tally } from './tally.ts';

const CALLS = 2000;
/** The filter counts a pod's reports only after its `blackout_period` of 10 s, which begins with the first connection. */
const LEARNING_S = 15;
const PER_SECOND = 60;

export const orcaWeights: Proof = {
  name: 'orca-weights',
  promise: 'A replica that reports twice the load of the others gets less.',
  overlay: 'orca',
  async prove(mesh) {
    await mesh.calm();
    const pods = mesh.gateways('stable');
    const [loaded] = pods;
    assert(loaded !== undefined);
    // Load is what waits and runs, as a share of what fits: half the room makes twice of it.
    const room = (rows: number): unknown => ({ version_policy: { all: {} }, max_batch_size: rows });
    await Promise.all(pods.map((pod) => loadModel(pod, MODEL, room(pod === loaded ? 8 : 16))));
    try {
      const steady = { ...inference(), parallel: 8 };
      await mesh.calls('caller', { ...steady, count: LEARNING_S * PER_SECOND, perSecond: PER_SECOND });
      const tally = await Tally.start(mesh, MODEL_INFER, pods);
      const { statuses } = await mesh.calls('caller', { ...steady, count: CALLS });
      assert.deepEqual(statuses, { '0': CALLS });
      const answers = await tally.answers();
      const its = answers.filter(({ pod }) => pod === loaded);
      const others = answers.filter(({ pod }) => pod !== loaded);
      const figures = `replica with twice the load ${describe(its)}, others ${describe(others)} of ${CALLS} calls`;
      assert((its[0]?.total ?? 0) < 0.85 * Math.min(...others.map(({ total }) => total)), figures);
      return figures;
    } finally {
      await Promise.all(pods.map((pod) => loadModel(pod, MODEL)));
    }
  },
  mutation: {
    fault: 'the filter matches no cluster',
    patches: [
      {
        kind: 'EnvoyFilter',
        name: 'tensorgate-orca-wrr',
        namespace: 'istio-system',
        operations: [
          replace('/spec/configPatches/0/match/cluster/service', 'tensorgate.elsewhere.svc.cluster.local'),
          remove('/spec/configPatches/0/match/cluster/portNumber'),
        ],
      },
    ],
  },
};
