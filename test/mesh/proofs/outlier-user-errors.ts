import assert from 'node:assert/strict';
import type { Mesh } from '../rig/mesh.ts';
import { type Proof, remove } from './proof.ts';
import { inference, MODEL_INFER, rpc } from './requests.ts';

const CALLS = 60;

/** Mistakes of clients, and what the gateway answers. INTERNAL and UNIMPLEMENTED are 500 and 501 to a proxy. */
const MISTAKES = [
  { what: 'no well-formed message', from: 'caller', status: '13', calls: { path: `/${MODEL_INFER}`, message: '////' } },
  { what: 'an unknown model', from: 'caller', status: '5', calls: inference('none-of-that-name') },
  { what: 'no inputs', from: 'caller', status: '3', calls: rpc('ModelInfer', { model_name: 'cifar10' }) },
  {
    what: 'an RPC that is not offered',
    from: 'admin',
    status: '12',
    calls: rpc('SystemSharedMemoryRegister', { name: 'r', key: '/r', byte_size: 1 }),
  },
] as const;

async function ejections(mesh: Mesh): Promise<number> {
  let all = 0;
  for (const name of ['caller', 'admin'] as const) {
    const stats = await mesh.proxyStats(mesh.client(name), /outlier_detection\.ejections_enforced_total$/);
    all += [...stats.values()].reduce((a, b) => a + b, 0);
  }
  return all;
}

export const outlierUserErrors: Proof = {
  name: 'outlier-user-errors',
  promise: "No mistake of a client's ejects a pod, however often it is made.",
  overlay: 'canary',
  async prove(mesh) {
    await mesh.calm();
    const before = await ejections(mesh);
    for (const { what, from, status, calls } of MISTAKES) {
      const { statuses } = await mesh.calls(from, { ...calls, count: CALLS });
      assert.deepEqual(statuses, { [status]: CALLS }, what);
    }
    const ejected = (await ejections(mesh)) - before;
    assert.equal(ejected, 0, `${ejected} ejections`);
    return `${CALLS} calls each with statuses ${MISTAKES.map(({ status }) => status).join(', ')}: ${ejected} ejections`;
  },
  mutation: {
    fault: 'consecutive5xxErrors left out, which means 5',
    patches: [
      {
        kind: 'DestinationRule',
        name: 'tensorgate',
        operations: [remove('/spec/trafficPolicy/outlierDetection/consecutive5xxErrors')],
      },
    ],
  },
};
