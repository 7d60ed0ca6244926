/**
 * Features that grpc-js does not offer, added on the HTTP/2 server that it keeps inside (checked with 1.14.7, which package.json pins).
 *
 * - Deadlines. Its own parser cuts `grpc-timeout` to 32 bits, so that 25 days mean "expired", and takes junk around the
 *   number; and it knows neither a default nor a maximum. The header is put right before grpc-js reads it: its timer then
 *   serves every deadline, from the headers on, so that half a request is not held for ever.
 * - Unknown paths. It echoes them whole, 30 KB and more, in a header of the answer.
 * - Flow control. `grpc-node.flow_control_window` works for clients only, and 64 KiB are 64 MB/s over a way of 1 ms.
 */

import type { Http2Server, IncomingHttpHeaders, ServerHttp2Session } from 'node:http2';
import type { Server } from '@grpc/grpc-js';
import { boundedText } from '../errors.ts';
import type { Routes, TransportOptions } from './call.ts';
import type { GrpcJsWayBacks } from './grpc-js-way-back.ts';
import { clampTimeout } from './timeout-header.ts';

/**
 * How much a client may send ahead, on a stream and on a connection. Not more than the sockets' buffers take: Node stops
 * reading a connection while it waits to write to it, so two Node peers with larger windows can wait for each other for
 * ever. It happened with 4 and 16 MiB here, 4 MiB at a grpc-js client, and 16 echoes of 602 KB.
 */
const WINDOW_BYTES = 1024 * 1024;
const MAX_PATH = 128;

/** Marks a call whose client named no deadline: its `grpc-timeout` is written here. Calls take it out of their metadata. */
export const DEFAULT_DEADLINE_KEY = 'tensorgate-default-deadline';

/**
 * Prepares the only HTTP/2 server of `server`.
 * @returns its open sessions.
 */
export function prepareHttp2(
  server: Server,
  options: TransportOptions,
  routes: Routes,
  wayBacks: GrpcJsWayBacks,
): ReadonlySet<ServerHttp2Session> {
  const sessions = new Set<ServerHttp2Session>();
  const http2 = http2ServerOf(server);
  http2.on('session', (session) => {
    sessions.add(session);
    session.once('close', () => sessions.delete(session));
    wayBacks.watch(session);
    session.settings({ initialWindowSize: WINDOW_BYTES });
    session.setLocalWindowSize(WINDOW_BYTES);
  });
  http2.prependListener('stream', (_stream, headers) => correctHeaders(headers, options, routes));
  return sessions;
}

function correctHeaders(headers: IncomingHttpHeaders, options: TransportOptions, routes: Routes): void {
  const path = headers[':path'] ?? '';
  const method = routes.get(path);
  const timeout = headers['grpc-timeout'] as string | undefined;
  if (timeout === undefined) headers[DEFAULT_DEADLINE_KEY] = '1';
  else delete headers[DEFAULT_DEADLINE_KEY];
  if (method === undefined) {
    headers[':path'] = boundedText(path.slice(0, MAX_PATH));
  } else if (method.kind === 'unary') {
    headers['grpc-timeout'] = clampTimeout(timeout, options.defaultDeadlineMs, options.maxDeadlineMs);
  } else if (timeout !== undefined) {
    headers['grpc-timeout'] = clampTimeout(timeout, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY);
  }
}

function http2ServerOf(server: Server): Http2Server {
  const { http2Servers } = server as unknown as { readonly http2Servers?: unknown };
  const http2 = http2Servers instanceof Map ? http2Servers.keys().next().value : undefined;
  // Without it there would be no default deadline: better no server.
  if (http2 === undefined) throw new Error('this version of @grpc/grpc-js keeps its HTTP/2 server elsewhere');
  return http2 as Http2Server;
}
