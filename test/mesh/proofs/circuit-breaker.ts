import assert from 'node:assert/strict';
import type { Mesh } from '../rig/mesh.ts';
import { loadModel, slowDown } from './gateway.ts';
import { type Proof, remove } from './proof.ts';
import { inference, MODEL } from './requests.ts';

/** Twice what the DestinationRule lets be open. */
const CALLS = 2048;
const OVERFLOW = 'upstream connect error or disconnect/reset before headers. reset reason: overflow';

async function overflows(mesh: Mesh): Promise<number> {
  const pattern = /outbound\|8001\|(stable|canary)\|.*upstream_rq_pending_overflow$/;
  return [...(await mesh.proxyStats(mesh.client('caller'), pattern)).values()].reduce((a, b) => a + b, 0);
}

export const circuitBreaker: Proof = {
  name: 'circuit-breaker',
  promise: 'What a client has open beyond http2MaxRequests ends at once, and nothing hangs.',
  overlay: 'canary',
  async prove(mesh) {
    await mesh.calm();
    const pods = mesh.gateways();
    await Promise.all(pods.map((pod) => slowDown(pod, MODEL, 1000)));
    try {
      const before = await overflows(mesh);
      const calls = { ...inference(), count: CALLS, parallel: CALLS, deadlineMs: 30_000 };
      const { statuses, texts, durationMs } = await mesh.calls('caller', calls);
      const refused = (await overflows(mesh)) - before;
      const ended = Object.entries(statuses).map(([status, count]) => `${count} x ${status}`);
      const figures = `${CALLS} calls at once: ${ended.join(', ')}; ${refused} overflows, all ended in ${durationMs} ms`;
      assert(refused > 0 && (texts[OVERFLOW] ?? 0) > 0, figures);
      assert((statuses['0'] ?? 0) > CALLS / 4, figures);
      return figures;
    } finally {
      await Promise.all(pods.map((pod) => loadModel(pod, MODEL)));
    }
  },
  mutation: {
    fault: 'no http2MaxRequests',
    patches: [
      {
        kind: 'DestinationRule',
        name: 'tensorgate',
        operations: [remove('/spec/trafficPolicy/connectionPool/http/http2MaxRequests')],
      },
    ],
  },
};
