import assert from 'node:assert/strict';
import type { Mesh } from '../rig/mesh.ts';
import { fragileInference, installFragile } from './gateway.ts';
import { expecting, type Proof, replace } from './proof.ts';
import { inference, MODEL_INFER } from './requests.ts';
import { assertSaved, retriesOf, since } from './retries.ts';
import { Tally, withStatus } from './tally.ts';

const CALLS = 20;
/** A pod that was away gets little for a while, so that it may take some calls until one meets it. */
const MOST_CALLS = 400;

interface Series {
  readonly calls: number;
  /** How many ended with UNAVAILABLE. */
  readonly refused: number;
  /** How often a gateway answered UNAVAILABLE. */
  readonly refusals: number;
  readonly retries: number;
}

/** One call at a time, and good ones between them: neither the budget nor an ejection is to interfere. */
async function callOneByOne(mesh: Mesh, model: string): Promise<Series> {
  const before = await retriesOf(mesh, 'caller');
  const tally = await Tally.start(mesh, MODEL_INFER);
  let refused = 0;
  for (let calls = 1; ; calls += 1) {
    const [status] = Object.keys((await mesh.calls('caller', fragileInference(model))).statuses);
    assert(status === '0' || status === '14', `a call ended with ${status}`);
    if (status === '14') refused += 1;
    // Each pod answers some of these, which ends its row of failures.
    await mesh.calls('caller', { ...inference(), count: 12, parallel: 2 });
    if (calls % CALLS > 0) continue;
    const refusals = withStatus(await tally.answers(), 'UNAVAILABLE');
    if (refusals === 0 && calls < MOST_CALLS) continue;
    return { calls, refused, refusals, retries: since(before, await retriesOf(mesh, 'caller')).made };
  }
}

export const retryOnce: Proof = {
  name: 'retry-once',
  promise:
    'An inference that a pod answers with UNAVAILABLE is tried once more, on another pod, and never a third time.',
  overlay: 'canary',
  async prove(mesh) {
    await mesh.calm();
    const [first, ...others] = mesh.gateways('stable');
    assert(first !== undefined);
    await installFragile(mesh, 'broken-in-one', [...others, ...mesh.gateways('canary')], [first]);
    await installFragile(mesh, 'broken-in-all', [], mesh.gateways());

    const one = await callOneByOne(mesh, 'broken-in-one');
    assert(one.refusals > 0, 'no call met the bad pod');
    assertSaved(one.refused, one.refusals, one.retries);
    const all = await callOneByOne(mesh, 'broken-in-all');
    assert.equal(all.refused, all.calls);
    assert.equal(all.refusals, 2 * all.calls, `${all.refusals} attempts of ${all.calls} calls`);
    return (
      `one pod refuses: ${one.calls - one.refused} of ${one.calls} calls answered, ${one.retries} at the second attempt; ` +
      `all pods refuse: ${all.refusals} attempts of ${all.calls} calls`
    );
  },
  mutation: {
    fault: 'no retry of inference',
    patches: [
      {
        kind: 'VirtualService',
        name: 'tensorgate',
        operations: [expecting('/spec/http/1/name', 'infer'), replace('/spec/http/1/retries', { attempts: 0 })],
      },
    ],
  },
};
