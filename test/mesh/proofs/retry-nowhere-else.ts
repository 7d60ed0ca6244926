import assert from 'node:assert/strict';
import { rpcsOf } from '../../support/stock-client.ts';
import type { Mesh } from '../rig/mesh.ts';
import { cutOff, reconnect } from './gateway.ts';
import { expecting, type Proof, remove } from './proof.ts';
import { INFERENCE, rpc } from './requests.ts';

/** What the admin's proxy has sent to the stable pods, and sent once more. */
async function sent(mesh: Mesh): Promise<{ readonly requests: number; readonly retries: number }> {
  const stats = await mesh.proxyStats(mesh.client('admin'), /outbound\|8001\|stable\|.*upstream_rq_(total|retry)$/);
  const count = (suffix: string): number => [...stats].find(([name]) => name.endsWith(suffix))?.[1] ?? 0;
  return { requests: count('upstream_rq_total'), retries: count('upstream_rq_retry') };
}

export const retryNowhereElse: Proof = {
  name: 'retry-nowhere-else',
  promise: 'Nothing but ModelInfer is ever retried: no stream, no load of a model, no metadata.',
  overlay: 'canary',
  async prove(mesh) {
    await mesh.calm();
    const rpcs = rpcsOf(INFERENCE).filter((name) => name !== 'ModelInfer');
    const pods = mesh.gateways();
    const before = await sent(mesh);
    const ended: string[] = [];
    await Promise.all(pods.map(cutOff));
    try {
      for (const name of rpcs) ended.push(...Object.keys((await mesh.calls('admin', rpc(name))).statuses));
    } finally {
      await Promise.all(pods.map(reconnect));
    }
    const after = await sent(mesh);
    const [requests, retries] = [after.requests - before.requests, after.retries - before.retries];
    assert.deepEqual([...new Set(ended)], ['14'], 'a call was answered although its gateway was cut off');
    assert(requests > rpcs.length / 2, `only ${requests} calls got as far as a pod`);
    assert.equal(retries, 0, `${retries} of ${rpcs.length} calls were retried`);
    return `${rpcs.length} RPCs end with UNAVAILABLE while no pod answers: ${requests} attempts, ${retries} retries`;
  },
  mutation: {
    fault: 'the route of control says nothing of retries, so that Istio retries twice',
    patches: [
      {
        kind: 'VirtualService',
        name: 'tensorgate',
        operations: [expecting('/spec/http/3/name', 'rest'), remove('/spec/http/3/retries')],
      },
    ],
  },
};
