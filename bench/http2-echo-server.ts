/** Our own transport and nothing behind it: it sends each message back. */

import type { Method } from '../src/gateway/accept/call.ts';
import { http2Listener } from '../src/gateway/accept/grpc/http2-transport.ts';

const echo: Method = { kind: 'unary', handle: (call) => call.reply([call.message]) };
/** Stays open, for the memory of a stream. */
const open: Method = { kind: 'streaming', handle: () => {} };
const transport = await http2Listener({})(
  {
    host: '127.0.0.1',
    port: 0,
    maxMessageBytes: 64 * 2 ** 20,
    maxConcurrentStreams: 1_000,
    defaultDeadlineMs: 30_000,
    maxDeadlineMs: 600_000,
  },
  new Map<string, Method>([
    ['/inference.GRPCInferenceService/ModelInfer', echo],
    ['/inference.GRPCInferenceService/ModelStreamInfer', open],
  ]),
);
console.log(`port ${transport.port}`);
process.on('SIGTERM', () => process.exit(0));
