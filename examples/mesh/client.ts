/**
 * A caller of a gateway behind a mesh or a load balancer, as docs/mesh.md advises: asks what a photograph shows, and prints
 * the answer as JSON. In a project of your own, import from 'tensorgate/client'.
 *
 *   node examples/mesh/client.ts localhost:8001 [--mesh] [--canary] [--deadline-ms 2000]
 */

import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { InferenceClient, InferenceError, type InferenceResult, tensor } from '../../src/client/inference-client.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    /** The sidecar tries again, so this client does not: only one layer retries. */
    mesh: { type: 'boolean', default: false },
    /** Asks for the canary, whatever its share. */
    canary: { type: 'boolean', default: false },
    'deadline-ms': { type: 'string', default: '2000' },
  },
});
const deadlineMs = Number(values['deadline-ms']);
const serviceConfig = await readFile(new URL('service-config.json', import.meta.url), 'utf8');
const pixels = await readFile(new URL('ship-0160.rgb', import.meta.url));

// One for the whole process: a connection carries any number of calls, and a new one each time would cost a handshake.
using client = new InferenceClient(positionals[0] ?? 'localhost:8001', {
  channelOptions: {
    'grpc.service_config': serviceConfig,
    'grpc.enable_retries': values.mesh ? 0 : 1,
    // A peer that vanished without a word is noticed within 40 s, and only while calls wait for it.
    'grpc.keepalive_time_ms': 30_000,
    'grpc.keepalive_timeout_ms': 10_000,
  },
});

try {
  const result = await classify(performance.now() + deadlineMs);
  const top = result.output('probabilities', 'BYTES').strings();
  console.log(JSON.stringify({ version: result.modelVersion, top }));
} catch (error) {
  if (!(error instanceof InferenceError)) throw error;
  console.error(`${error.status}: ${error.details}`);
  process.exitCode = 1;
}

/**
 * gRPC tries UNAVAILABLE again by itself. RESOURCE_EXHAUSTED it does not: the server says how long to wait, or that waiting
 * has no use, and the caller knows whether the answer is still wanted by then.
 * @param end on the clock of `performance.now()`
 */
async function classify(end: number): Promise<InferenceResult> {
  try {
    return await client.infer(
      'cifar10',
      { image: tensor.uint8(pixels, [1, 3, 32, 32]) },
      {
        // The rest of the time travels with the call; the server never runs a request that would come too late.
        deadlineMs: end - performance.now(),
        outputs: { probabilities: { classification: 3 } },
        metadata: values.canary ? { 'x-canary': 'always' } : {},
      },
    );
  } catch (error) {
    if (!(error instanceof InferenceError) || error.status !== 'RESOURCE_EXHAUSTED') throw error;
    const waitMs = error.pushbackMs ?? -1;
    if (waitMs < 0 || performance.now() + waitMs >= end) throw error;
    await new Promise((resolve) => setTimeout(resolve, waitMs));
    return classify(end);
  }
}
