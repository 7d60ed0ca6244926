/** The transports of the server. Who judges a transport judges each of them. */

import type { Listen, TransportOptions } from '../../src/gateway/accept/call.ts';
import { listenHttp2 } from '../../src/gateway/accept/grpc/http2-transport.ts';
import { listenGrpcJs } from '../../src/gateway/accept/grpc-js-transport.ts';
import { TRANSPORT_OPTIONS } from '../support/transport-options.ts';

/** By the value of the setting `transport`. */
export const TRANSPORTS: readonly { readonly name: 'grpc-js' | 'h2'; readonly listen: Listen }[] = [
  { name: 'grpc-js', listen: listenGrpcJs },
  { name: 'h2', listen: listenHttp2 },
];

export const OPTIONS: TransportOptions = {
  ...TRANSPORT_OPTIONS,
  maxMessageBytes: 8 * 1024 * 1024,
  maxConcurrentStreams: 1_000,
};
