/** The transport of our own: gRPC over `src/http2`. */

import type { ConnectionGroup } from '../../../http2/connection-group.ts';
import { DEFAULT_LIMITS, type Http2Limits } from '../../../http2/limits.ts';
import { Http2Server } from '../../../http2/server.ts';
import type { TlsIdentity } from '../../../http2/tls-identity.ts';
import type { Landing } from '../../landing/landing.ts';
import { diagnostics } from '../../ops/diagnostics.ts';
import { bind } from '../bind.ts';
import type { Listen, Routes, TransportOptions } from '../call.ts';
import { GrpcService } from './grpc-service.ts';
import { limitReached } from './limit-events.ts';

export interface Http2Options {
  /** Without it the transport is cleartext. */
  readonly tls?: TlsIdentity;
  readonly limits?: Partial<Http2Limits>;
  /** The transport is one of several on one port, in threads of one process. */
  readonly group?: ConnectionGroup;
  /** Where the tensors of large inference requests land; without it they stay in memory. */
  readonly landing?: Landing | undefined;
}

export const listenHttp2: Listen = http2Listener({});

/** @returns how to start a transport with `options` */
export function http2Listener({
  tls,
  limits: given,
  group,
  landing,
}: Http2Options): (options: TransportOptions, routes: Routes) => Promise<Http2Server> {
  return async (options, routes) => {
    const limits = { ...DEFAULT_LIMITS, ...given };
    const { maxConcurrentStreams } = options;
    const service = new GrpcService(routes, options, limits, landing);
    const server = new Http2Server(service, {
      limits,
      maxConcurrentStreams,
      tls,
      group,
      onLimit: limitReached,
      onFault,
    });
    await bind(server.listener, { ...options, sharesPort: group !== undefined });
    return server;
  };
}

function onFault(cause: unknown): void {
  diagnostics.notice.publish({ level: 'error', text: 'an HTTP/2 connection failed by a fault of ours', cause });
}
