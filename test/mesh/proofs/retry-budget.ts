import assert from 'node:assert/strict';
import type { Mesh } from '../rig/mesh.ts';
import { fragileInference, installFragile } from './gateway.ts';
import { type Proof, remove } from './proof.ts';

const CALLS = 200;

async function counters(mesh: Mesh): Promise<{ readonly retries: number; readonly overflow: number }> {
  const pattern = /outbound\|8001\|(stable|canary)\|.*upstream_rq_retry(_overflow)?$/;
  const stats = [...(await mesh.proxyStats(mesh.client('caller'), pattern))];
  const total = (suffix: string): number =>
    stats.filter(([name]) => name.endsWith(suffix)).reduce((all, [, value]) => all + value, 0);
  return { retries: total('upstream_rq_retry'), overflow: total('upstream_rq_retry_overflow') };
}

export const retryBudget: Proof = {
  name: 'retry-budget',
  promise: 'When every pod refuses, retries are given up rather than doubling the load.',
  overlay: 'canary',
  async prove(mesh) {
    await mesh.calm();
    await installFragile(mesh, 'broken-in-all', [], mesh.gateways());
    const before = await counters(mesh);
    const { statuses } = await mesh.calls('caller', {
      ...fragileInference('broken-in-all'),
      count: CALLS,
      parallel: 16,
    });
    const after = await counters(mesh);
    const [retries, overflow] = [after.retries - before.retries, after.overflow - before.overflow];
    assert.deepEqual(statuses, { '14': CALLS });
    const figures = `${CALLS} calls, 16 at a time: ${retries} retried, ${overflow} not, because the budget was spent`;
    assert(overflow > 0 && retries < CALLS / 2, figures);
    return figures;
  },
  mutation: {
    fault: 'no retry budget',
    patches: [{ kind: 'DestinationRule', name: 'tensorgate', operations: [remove('/spec/trafficPolicy/retryBudget')] }],
  },
};
