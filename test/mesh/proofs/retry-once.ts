import assert from 'node:assert/strict';
import type { Mesh } from '../rig/mesh.ts';
import { fragileInference, installFragile } from './gateway.ts';
import { expecting, type Proof, replace } from './proof.ts';
import { inference, MODEL_INFER } from './requests.ts';
import { Tally, withStatus } from './tally.ts';

const CALLS = 20;
/** A pod that was away gets little for a while, so that it may take some calls until one meets it. */
const MOST_CALLS = 400;

interface Series {
  readonly calls: number;
  /** Those that the clients got, each once. */
  readonly statuses: string;
  /** How often a gateway answered UNAVAILABLE. */
  readonly refusals: number;
}

/** One call at a time, and good ones between them: neither the budget nor an ejection is to interfere. */
async function callOneByOne(mesh: Mesh, model: string): Promise<Series> {
  const statuses = new Set<string>();
  const tally = await Tally.start(mesh, MODEL_INFER);
  for (let calls = 1; ; calls += 1) {
    for (const status of Object.keys((await mesh.calls('caller', fragileInference(model))).statuses))
      statuses.add(status);
    // Each pod answers some of these, which ends its row of failures.
    await mesh.calls('caller', { ...inference(), count: 12, parallel: 2 });
    if (calls % CALLS > 0) continue;
    const refusals = withStatus(await tally.answers(), 'UNAVAILABLE');
    if (refusals > 0 || calls >= MOST_CALLS) return { calls, statuses: [...statuses].join(), refusals };
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
    assert.equal(one.statuses, '0', `with one bad pod, calls ended with ${one.statuses}`);
    const all = await callOneByOne(mesh, 'broken-in-all');
    assert.equal(all.statuses, '14');
    assert.equal(all.refusals, 2 * all.calls, `${all.refusals} attempts of ${all.calls} calls`);
    return (
      `one pod refuses: ${one.calls} of ${one.calls} calls answered, ${one.refusals} at the second attempt; ` +
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
