import assert from 'node:assert/strict';
import { rpcsOf } from '../../support/stock-client.ts';
import type { Mesh } from '../rig/mesh.ts';
import { cutOff, reconnect } from './gateway.ts';
import { expecting, type Proof, remove } from './proof.ts';
import { INFERENCE, rpc } from './requests.ts';
import { retriesOf, since } from './retries.ts';

/** Attempts that the admin's proxy has sent to the stable pods. */
async function attempts(mesh: Mesh): Promise<number> {
  const stats = await mesh.proxyStats(mesh.client('admin'), /outbound\|8001\|stable\|.*upstream_rq_total$/);
  return stats.values().next().value ?? 0;
}

export const retryNowhereElse: Proof = {
  name: 'retry-nowhere-else',
  promise: 'Nothing but ModelInfer is ever retried: no stream, no load of a model, no metadata.',
  overlay: 'canary',
  async prove(mesh) {
    await mesh.calm();
    const rpcs = rpcsOf(INFERENCE).filter((name) => name !== 'ModelInfer');
    const pods = mesh.gateways();
    const [before, retriesBefore] = [await attempts(mesh), await retriesOf(mesh, 'admin')];
    const ended: string[] = [];
    await Promise.all(pods.map(cutOff));
    try {
      for (const name of rpcs) ended.push(...Object.keys((await mesh.calls('admin', rpc(name))).statuses));
    } finally {
      await Promise.all(pods.map(reconnect));
    }
    const requests = (await attempts(mesh)) - before;
    const retries = since(retriesBefore, await retriesOf(mesh, 'admin')).made;
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
