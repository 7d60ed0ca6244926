import assert from 'node:assert/strict';
import type { Pod } from '../rig/pod.ts';
import { poll } from '../rig/polling.ts';
import { cutOff, reconnect } from './gateway.ts';
import { type Proof, replace } from './proof.ts';
import { inference, MODEL_INFER } from './requests.ts';
import { sum, Tally } from './tally.ts';

const CALLS = 500;

export const localityFailover: Proof = {
  name: 'locality-failover',
  promise: "Traffic stays in the client's zone while its pods are well, and goes to the other zone when they are not.",
  overlay: 'locality',
  async prove(mesh) {
    await mesh.calm();
    const home = mesh.client('caller').nodeName;
    const isHere = (pod: Pod): boolean => pod.nodeName === home;
    const pods = mesh.gateways();
    const [here, there] = [pods.filter(isHere), pods.filter((pod) => !isHere(pod))];
    assert(here.length > 0 && there.length > 0, 'there are not pods in both zones');

    const calls = { ...inference(), count: CALLS, parallel: 4 };
    const shares = async (): Promise<{ readonly near: number; readonly far: number; readonly failed: number }> => {
      const tally = await Tally.start(mesh, MODEL_INFER, pods);
      const { statuses } = await mesh.calls('caller', calls);
      const answers = await tally.answers();
      return {
        near: sum(answers.filter(({ pod }) => isHere(pod))),
        far: sum(answers.filter(({ pod }) => !isHere(pod))),
        failed: CALLS - (statuses['0'] ?? 0),
      };
    };
    const well = await shares();
    assert.deepEqual(well, { near: CALLS, far: 0, failed: 0 }, `all pods are well: ${JSON.stringify(well)}`);

    await Promise.all(here.map(cutOff));
    try {
      // Until outlier detection has found them all, a call whose first attempt meets one may meet another.
      const ill = await poll('all traffic has gone to the other zone', 60, async () => {
        const seen = await shares();
        return seen.far === CALLS && seen;
      });
      return (
        `${here.length} pods near, ${there.length} far: near ${well.near}, far ${well.far} of ${CALLS} calls; ` +
        `with the near ones cut off: near ${ill.near}, far ${ill.far}, failed ${ill.failed}`
      );
    } finally {
      await Promise.all(here.map(reconnect));
    }
  },
  mutation: {
    fault: 'no balancing by locality',
    patches: [
      {
        kind: 'DestinationRule',
        name: 'tensorgate',
        operations: [replace('/spec/trafficPolicy/loadBalancer/localityLbSetting', { enabled: false })],
      },
    ],
  },
};
