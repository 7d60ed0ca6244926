import assert from 'node:assert/strict';
import { fragileInference, installFragile } from './gateway.ts';
import { type Proof, remove } from './proof.ts';
import { retriesOf, since } from './retries.ts';

const CALLS = 200;

export const retryBudget: Proof = {
  name: 'retry-budget',
  promise: 'When every pod refuses, retries are given up rather than doubling the load.',
  overlay: 'canary',
  async prove(mesh) {
    await mesh.calm();
    await installFragile(mesh, 'broken-in-all', [], mesh.gateways());
    const before = await retriesOf(mesh, 'caller');
    const { statuses } = await mesh.calls('caller', {
      ...fragileInference('broken-in-all'),
      count: CALLS,
      parallel: 16,
    });
    const { made, overflow } = since(before, await retriesOf(mesh, 'caller'));
    assert.deepEqual(statuses, { '14': CALLS });
    const figures = `${CALLS} calls, 16 at a time: ${made} retried, ${overflow} not, because the budget was spent`;
    assert(overflow > 0 && made < CALLS / 2, figures);
    return figures;
  },
  mutation: {
    fault: 'no retry budget',
    patches: [{ kind: 'DestinationRule', name: 'tensorgate', operations: [remove('/spec/trafficPolicy/retryBudget')] }],
  },
};
