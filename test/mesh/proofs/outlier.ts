import assert from 'node:assert/strict';
import { poll } from '../rig/polling.ts';
import { fragileInference, installFragile } from './gateway.ts';
import { type Proof, remove } from './proof.ts';
import { inference, MODEL_INFER } from './requests.ts';
import { assertSaved, retriesOf, since } from './retries.ts';
import { sum, Tally, withStatus } from './tally.ts';

const CALLS = 600;

export const outlier: Proof = {
  name: 'outlier',
  promise: 'A pod that refuses five times in a row gets no calls for a while, and second attempts answer its calls.',
  overlay: 'canary',
  async prove(mesh) {
    await mesh.calm();
    const [bad, ...others] = mesh.gateways('stable');
    assert(bad !== undefined);
    await installFragile(mesh, 'broken-in-one', [...others, ...mesh.gateways('canary')], [bad]);
    const calls = { ...fragileInference('broken-in-one'), count: CALLS, parallel: 2 };
    const before = await retriesOf(mesh, 'caller');
    const refusals = await Tally.start(mesh, MODEL_INFER, [bad]);
    const { statuses } = await mesh.calls('caller', calls);
    const refused = statuses['14'] ?? 0;
    assert.equal((statuses['0'] ?? 0) + refused, CALLS, `a call ended otherwise: ${JSON.stringify(statuses)}`);
    const retries = since(before, await retriesOf(mesh, 'caller')).made;
    assertSaved(refused, withStatus(await refusals.answers(), 'UNAVAILABLE'), retries);

    const active = await poll('the pod is ejected', 10, async () => {
      const stats = await mesh.proxyStats(mesh.client('caller'), /\|stable\|.*outlier_detection\.ejections_active$/);
      const count = [...stats.values()].reduce((a, b) => a + b, 0);
      return count > 0 && count;
    });
    const tally = await Tally.start(mesh, MODEL_INFER, [bad]);
    const second = await mesh.calls('caller', { ...inference(), count: CALLS, parallel: 4 });
    const reached = sum(await tally.answers());
    assert.deepEqual(second.statuses, { '0': CALLS });
    assert.equal(reached, 0, `${reached} calls reached the ejected pod`);
    return (
      `${active} pod ejected; ${CALLS - refused} of ${CALLS} calls answered meanwhile, ${retries} at the second attempt; ` +
      `${reached} of the next ${CALLS} reach it`
    );
  },
  mutation: {
    fault: 'no outlier detection',
    patches: [
      { kind: 'DestinationRule', name: 'tensorgate', operations: [remove('/spec/trafficPolicy/outlierDetection')] },
    ],
  },
};
