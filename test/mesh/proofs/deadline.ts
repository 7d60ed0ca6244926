import assert from 'node:assert/strict';
import { loadModel, slowDown } from './gateway.ts';
import { expecting, type Proof, replace } from './proof.ts';
import { inference, MODEL } from './requests.ts';

/** How long a request waits for company in its batch, unless its deadline forbids it: then it runs in time. */
const WAIT_MS = 4000;
const SHORT_MS = 2000;
const LONG_MS = 10_000;

export const deadline: Proof = {
  name: 'deadline',
  promise: 'The gateway knows the deadline of the client, and no other.',
  overlay: 'canary',
  async prove(mesh) {
    await mesh.calm();
    const pods = mesh.gateways();
    await Promise.all(pods.map((pod) => slowDown(pod, MODEL, WAIT_MS)));
    try {
      const short = await mesh.calls('caller', { ...inference(), deadlineMs: SHORT_MS });
      const long = await mesh.calls('caller', { ...inference(), deadlineMs: LONG_MS });
      const [shortMs = 0, longMs = 0] = [short.times[0], long.times[0]];
      const figures =
        `a request that would wait ${WAIT_MS} ms for its batch: status ${Object.keys(short.statuses)} after ` +
        `${Math.round(shortMs)} ms with a deadline of ${SHORT_MS} ms, ${Object.keys(long.statuses)} after ` +
        `${Math.round(longMs)} ms with one of ${LONG_MS} ms`;
      assert.deepEqual([short.statuses, long.statuses], [{ '0': 1 }, { '0': 1 }], figures);
      assert(shortMs > SHORT_MS / 2 && longMs >= WAIT_MS, figures);
      return figures;
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
