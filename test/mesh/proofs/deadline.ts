import assert from 'node:assert/strict';
import { tensor } from '../../../src/client/tensor.ts';
import { slowModel } from '../../support/onnx-models.ts';
import { poll } from '../rig/polling.ts';
import { installModel, loadModel } from './gateway.ts';
import { expecting, type Proof, replace } from './proof.ts';
import { infer } from './requests.ts';

const MODEL = 'slow';
/** Some 200 ms on an idle machine, at one request a run: more than the short deadline, and less than the long one. */
const ITERATIONS = 4000;
const ONE_AT_A_TIME = { max_batch_size: 1, instance_group: [{ count: 1 }] };
const SHORT_MS = 50;
const LONG_MS = 20_000;
const CALLS = 5;
/** So many at once keep the pods busy for a second or more: an idle model runs whatever has not expired. */
const OTHERS = 60;

export const deadline: Proof = {
  name: 'deadline',
  promise:
    'The gateway knows the deadline of the client, and no other: what it cannot answer in time, it refuses at once.',
  overlay: 'canary',
  async prove(mesh) {
    await mesh.calm();
    const pods = mesh.gateways();
    for (const pod of pods) installModel(pod, MODEL, slowModel(ITERATIONS));
    await Promise.all(pods.map((pod) => loadModel(pod, MODEL, ONE_AT_A_TIME)));
    const request = infer(MODEL, { input: tensor.fp32([1], [1, 1]) });
    const long = await mesh.calls('caller', { ...request, count: CALLS, deadlineMs: LONG_MS });
    const took = Math.round(Math.min(...long.times));
    assert.deepEqual(long.statuses, { '0': CALLS }, `with ${LONG_MS} ms: ${JSON.stringify(long.texts)}`);
    const others = mesh.calls('caller', { ...request, count: OTHERS, parallel: OTHERS, deadlineMs: LONG_MS });
    await poll('the pods are busy', 10, async () => {
      const all = await Promise.all(mesh.gateways('stable').map((pod) => mesh.metrics(pod)));
      return all.every((metrics) => (metrics('tensorgate_queue_depth', { model: MODEL })[0]?.value ?? 0) > 0);
    });
    const short = await mesh.calls('caller', { ...request, count: CALLS, deadlineMs: SHORT_MS });
    await others;
    // Now and then a proxy on the way, or the client, ends such a call before the gateway does.
    const refusal = Object.keys(short.texts).find((text) => /, \d+ ms are left$/.test(text));
    const left = Number(/(\d+) ms are left$/.exec(refusal ?? '')?.[1]);
    assert(left < SHORT_MS, `with ${SHORT_MS} ms: ${JSON.stringify(short.texts)}`);
    return `with ${LONG_MS} ms answered after ${took} ms; with ${SHORT_MS} ms refused at once: ${refusal}`;
  },
  mutation: {
    fault: 'a timeout of the route that cuts deadlines short',
    patches: [
      {
        kind: 'VirtualService',
        name: 'tensorgate',
        operations: [expecting('/spec/http/1/name', 'infer'), replace('/spec/http/1/timeout', '50ms')],
      },
    ],
  },
};
