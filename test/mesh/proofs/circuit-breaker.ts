import assert from 'node:assert/strict';
import { loadModel, slowDown } from './gateway.ts';
import { type Proof, remove } from './proof.ts';
import { inference, MODEL } from './requests.ts';

/** Envoy takes 1,024 calls of a connection, and the DestinationRule lets a client pod have as many open in all. */
const CONNECTIONS = 2;
const CALLS = 1024;
const OVERFLOW = 'upstream connect error or disconnect/reset before headers. reset reason: overflow';

export const circuitBreaker: Proof = {
  name: 'circuit-breaker',
  promise: 'What a client has open beyond http2MaxRequests ends at once, and nothing hangs.',
  overlay: 'canary',
  async prove(mesh) {
    await mesh.calm();
    const pods = mesh.gateways();
    await Promise.all(pods.map((pod) => slowDown(pod, MODEL, 1000)));
    try {
      const calls = { ...inference(), count: CALLS, parallel: CALLS, deadlineMs: 30_000 };
      const start = Date.now();
      const outcomes = await Promise.all(Array.from({ length: CONNECTIONS }, () => mesh.calls('caller', calls)));
      const ended = Date.now() - start;
      const answered = outcomes.reduce((all, { statuses }) => all + (statuses['0'] ?? 0), 0);
      const overflowed = outcomes.reduce((all, { texts }) => all + (texts[OVERFLOW] ?? 0), 0);
      const figures =
        `${CONNECTIONS * CALLS} calls at once: ${answered} answered, ${overflowed} UNAVAILABLE (overflow), ` +
        `all ended after ${(ended / 1000).toFixed(1)} s`;
      assert(overflowed > 0 && answered + overflowed === CONNECTIONS * CALLS, figures);
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
