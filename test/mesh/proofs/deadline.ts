import assert from 'node:assert/strict';
import type { Mesh } from '../rig/mesh.ts';
import { loadModel, slowDown } from './gateway.ts';
import { expecting, type Proof, replace } from './proof.ts';
import { inference, MODEL } from './requests.ts';

/** How long a request waits for company in its batch, unless its deadline forbids it. */
const WAIT_MS = 3000;
const SHORT_MS = 1500;
const LONG_MS = 10_000;
const ATTEMPTS = 8;

/** How often a gateway acted on a deadline: it sent a batch early, or gave a request up before its client did. */
async function deadlinesKept(mesh: Mesh): Promise<number> {
  let all = 0;
  for (const pod of mesh.gateways()) {
    const metrics = await mesh.metrics(pod);
    const kept = [
      ...metrics('tensorgate_batches_total', { model: MODEL, reason: 'deadline' }),
      ...metrics('tensorgate_requests_total', { model: MODEL, reason: 'deadline_exceeded' }),
    ];
    all += kept.reduce((sum, { value }) => sum + value, 0);
  }
  return all;
}

export const deadline: Proof = {
  name: 'deadline',
  promise: 'The gateway knows the deadline of the client, and no other.',
  overlay: 'canary',
  async prove(mesh) {
    await mesh.calm();
    const pods = mesh.gateways();
    await Promise.all(pods.map((pod) => slowDown(pod, MODEL, WAIT_MS)));
    try {
      const before = await deadlinesKept(mesh);
      const long = await mesh.calls('caller', { ...inference(), deadlineMs: LONG_MS });
      const took = Math.round(long.times[0] ?? 0);
      assert.deepEqual(long.statuses, { '0': 1 });
      assert(took >= WAIT_MS, `a request with ${LONG_MS} ms was sent after ${took} ms`);
      assert.equal(await deadlinesKept(mesh), before, `a request with ${LONG_MS} ms had a shorter deadline`);
      // The client, two proxies and the gateway end it in the same moment; now and then the gateway is not the first.
      for (let attempts = 1; attempts <= ATTEMPTS; attempts += 1) {
        await mesh.calls('caller', { ...inference(), deadlineMs: SHORT_MS });
        if ((await deadlinesKept(mesh)) > before) {
          return (
            `a request that waits ${WAIT_MS} ms for company is answered after ${took} ms with a deadline of ${LONG_MS} ms; ` +
            `with one of ${SHORT_MS} ms the gateway acts on it (attempt ${attempts})`
          );
        }
      }
      assert.fail(`${ATTEMPTS} requests with ${SHORT_MS} ms: no gateway knew of it`);
    } finally {
      await Promise.all(pods.map((pod) => loadModel(pod, MODEL)));
    }
  },
  mutation: {
    fault: 'a timeout of the route that cuts deadlines short',
    patches: [
      {
        kind: 'VirtualService',
        name: 'tensorgate',
        operations: [expecting('/spec/http/1/name', 'infer'), replace('/spec/http/1/timeout', '1500ms')],
      },
    ],
  },
};
