import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { expecting, type Proof, remove, replace } from './proof.ts';
import { inference } from './requests.ts';

const CALLS = 6000;
const PER_SECOND = 250;

export const rollingRestart: Proof = {
  name: 'rolling-restart',
  promise: 'All replicas are replaced under traffic, and no call fails.',
  overlay: 'canary',
  async prove(mesh) {
    await mesh.calm();
    const before = new Set(mesh.gateways('stable').map(({ name }) => name));
    const calls = { ...inference(), count: CALLS, parallel: 64, perSecond: PER_SECOND };
    const traffic = mesh.calls('caller', calls);
    await delay(1000);
    const start = Date.now();
    const rollout = (...args: string[]): Promise<string> =>
      mesh.control.kubectl(['-n', 'inference', 'rollout', ...args]);
    await rollout('restart', 'deployment/tensorgate');
    const restarted = rollout('status', 'deployment/tensorgate', '--timeout=180s').then(() => Date.now() - start);
    const outcomes = [await traffic];
    // However long the restart takes, there is traffic until it is over.
    let took: number | undefined;
    void restarted.then((ms) => {
      took = ms;
    });
    while (took === undefined) outcomes.push(await mesh.calls('caller', { ...calls, count: PER_SECOND * 2 }));
    await restarted;
    await mesh.settle();

    const all = outcomes.reduce((sum, { times }) => sum + times.length, 0);
    const failed = outcomes.flatMap(({ statuses, texts }) =>
      Object.keys(statuses).some((status) => status !== '0') ? [JSON.stringify({ statuses, texts })] : [],
    );
    assert.deepEqual(failed, [], `of ${all} calls some failed: ${failed.join('; ')}`);
    const kept = mesh.gateways('stable').filter(({ name }) => before.has(name));
    assert.equal(kept.length, 0, 'a pod was not replaced');
    const rate = Math.round((CALLS * 1000) / (outcomes[0]?.durationMs ?? 1));
    return `0 of ${all} calls failed, ${rate} calls/s, ${before.size} pods replaced in ${Math.round(took / 1000)} s`;
  },
  mutation: {
    fault: 'pods that count as ready before they are, and no retries',
    patches: [
      {
        kind: 'VirtualService',
        name: 'tensorgate',
        operations: [expecting('/spec/http/1/name', 'infer'), replace('/spec/http/1/retries', { attempts: 0 })],
      },
      {
        kind: 'Deployment',
        name: 'tensorgate',
        operations: [remove('/spec/template/spec/containers/0/readinessProbe')],
      },
    ],
  },
};
