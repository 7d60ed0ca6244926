/**
 * A caller of a gateway behind a mesh or a load balancer, as docs/mesh.md advises: asks what a photograph shows, and prints
 * the answer as JSON. In a project of your own, `tensorgate client generate` writes models.ts, which imports '@tensorgate/client'.
 *
 *   node examples/mesh/client.ts localhost:8001 [ADDRESS…] [--mesh] [--canary] [--trace] [--deadline-ms 2000] [--wait-ms 30000]
 */

import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { InferenceError } from '../../src/client/inference-client.ts';
import { createModelsClient } from './models.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    /** The sidecar tries again, so this client does not: only one layer retries. */
    mesh: { type: 'boolean', default: false },
    /** Asks for the canary, whatever its share. */
    canary: { type: 'boolean', default: false },
    /** Sends the context of a trace with each call. */
    trace: { type: 'boolean', default: false },
    'deadline-ms': { type: 'string', default: '2000' },
    /** Waits at most this long until the model is ready: for callers that start together with their server. */
    'wait-ms': { type: 'string' },
  },
});

if (values.trace) {
  // A service that traces has this in its start already; the client finds it by itself. OTEL_* variables name the exporter.
  const { NodeSDK } = await import('@opentelemetry/sdk-node');
  new NodeSDK({ serviceName: 'mesh-caller' }).start();
}

const pixels = await readFile(new URL('ship-0160.rgb', import.meta.url));
const [address = 'localhost:8001', ...others] = positionals;

// One for the whole process: a connection carries any number of calls, and a new one each time would cost a handshake.
await using client = createModelsClient(others.length === 0 ? address : [address, ...others], {
  // It travels with the call, and bounds its retries: the server never runs a request that would come too late.
  deadlineMs: Number(values['deadline-ms']),
  // UNAVAILABLE is tried again after a backoff, RESOURCE_EXHAUSTED after the wait that the server names.
  retry: values.mesh ? false : { attempts: 3 },
  metadata: values.canary ? { 'x-canary': 'always' } : {},
  channelOptions: {
    // A peer that vanished without a word is noticed within 40 s, and only while calls wait for it.
    'grpc.keepalive_time_ms': 30_000,
    'grpc.keepalive_timeout_ms': 10_000,
  },
});

try {
  const waitMs = values['wait-ms'];
  if (waitMs !== undefined) await client.client.waitUntilReady({ model: 'cifar10', deadlineMs: Number(waitMs) });
  const classify = () => client.classify('cifar10', 'probabilities', { image: pixels }, { top: 3 });
  const [classes = []] = await (values.trace ? spanned(classify) : classify());
  console.log(JSON.stringify({ top: classes.map(({ value, index, label }) => `${value}:${index}:${label}`) }));
} catch (error) {
  if (!(error instanceof InferenceError)) throw error;
  console.error(`${error.status}: ${error.details}`);
  process.exitCode = 1;
}

/** Runs `work` in a span of its own. */
async function spanned<Result>(work: () => Promise<Result>): Promise<Result> {
  const { trace } = await import('@opentelemetry/api');
  return trace.getTracer('mesh-caller').startActiveSpan('classify', async (span) => {
    try {
      return await work();
    } finally {
      span.end();
    }
  });
}
