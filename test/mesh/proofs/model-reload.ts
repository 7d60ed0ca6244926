import assert from 'node:assert/strict';
import { installModel, loadModel } from './gateway.ts';
import { type Proof, replace } from './proof.ts';
import { INFERENCE, inference, rpc } from './requests.ts';
import { sum, Tally } from './tally.ts';

const MODEL = 'reloaded';
const CALLS = 1500;
const LOADS = 6;

export const modelReload: Proof = {
  name: 'model-reload',
  promise: 'A model is loaded anew under traffic, by an operator through the mesh, and no call fails.',
  overlay: 'canary',
  async prove(mesh) {
    await mesh.calm();
    const pods = mesh.gateways();
    for (const pod of pods) installModel(pod, MODEL);
    await Promise.all(pods.map((pod) => loadModel(pod, MODEL)));
    const tally = await Tally.start(mesh, `${INFERENCE}/RepositoryModelLoad`);
    const traffic = mesh.calls('caller', { ...inference(MODEL), count: CALLS, parallel: 8, perSecond: 100 });
    const loads: string[] = [];
    for (let i = 1; i <= LOADS; i += 1) {
      // Written again, so that there is something to load; each load reaches the pod that the mesh chooses.
      for (const pod of pods) installModel(pod, MODEL);
      const load = rpc('RepositoryModelLoad', { model_name: MODEL });
      loads.push(...Object.keys((await mesh.calls('admin', { ...load, deadlineMs: 30_000 })).statuses));
    }
    const { statuses } = await traffic;
    assert.deepEqual([...new Set(loads)], ['0'], `loads ended with ${loads.join(', ')}`);
    assert.deepEqual(statuses, { '0': CALLS });
    const loaded = (await tally.answers()).filter(({ total }) => total > 0);
    return `${sum(loaded)} loads in ${loaded.length} pods, ${CALLS} of ${CALLS} calls answered meanwhile`;
  },
  mutation: {
    fault: 'nobody may control the server',
    patches: [
      {
        kind: 'AuthorizationPolicy',
        name: 'tensorgate-control',
        operations: [replace('/spec/rules/0/from/0/source/principals', ['cluster.local/ns/inference-ops/sa/nobody'])],
      },
    ],
  },
};
