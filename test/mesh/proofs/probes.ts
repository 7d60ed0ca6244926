import assert from 'node:assert/strict';
import { poll } from '../rig/polling.ts';
import { GATEWAY } from './gateway.ts';
import { type Proof, replace } from './proof.ts';
import { inference } from './requests.ts';

const CALLS = 200;

export const probes: Proof = {
  name: 'probes',
  promise:
    'Probes reach the gateway through its proxy in spite of STRICT, and a pod whose gateway hangs gets no calls.',
  overlay: 'canary',
  async prove(mesh) {
    await mesh.calm();
    const [pod] = mesh.gateways('stable');
    assert(pod !== undefined);
    const container = pod.container(GATEWAY);
    const rewritten = Object.entries(container.spec).flatMap(([name, probe]) =>
      name.endsWith('Probe')
        ? [(probe as { httpGet?: { path?: string } }).httpGet?.path ?? `${name} is not rewritten`]
        : [],
    );
    assert.deepEqual(rewritten.toSorted(), ['/app-health/tensorgate/livez', '/app-health/tensorgate/readyz']);

    const replicas = mesh.gateways('stable').length;
    const start = Date.now();
    container.kill('SIGSTOP');
    try {
      await poll('a pod whose gateway hangs is not ready', 20, async () => mesh.gateways('stable').length < replicas);
      const noticed = Date.now() - start;
      await mesh.settled();
      const { statuses } = await mesh.calls('caller', { ...inference(), count: CALLS, parallel: 4 });
      assert.deepEqual(statuses, { '0': CALLS });
      return `${rewritten.join(', ')}; a hung gateway is out after ${(noticed / 1000).toFixed(1)} s, then ${CALLS} of ${CALLS} calls answered`;
    } finally {
      container.kill('SIGCONT');
      await poll('the pod is ready again', 60, async () => mesh.gateways('stable').length === replicas);
    }
  },
  mutation: {
    fault: 'a readiness probe that forgives a thousand failures',
    patches: [
      {
        kind: 'Deployment',
        name: 'tensorgate',
        operations: [replace('/spec/template/spec/containers/0/readinessProbe/failureThreshold', 1000)],
      },
    ],
  },
};
