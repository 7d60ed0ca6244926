/** The transport over @grpc/grpc-js. Apart from the `grpc-js-*` files nothing of the server knows that library. */

import type { EventEmitter } from 'node:events';
import type { ServerHttp2Session } from 'node:http2';
import { createServer, type Server as Listener, type Socket } from 'node:net';
import { type handleBidiStreamingCall, type handleUnaryCall, Server, ServerCredentials } from '@grpc/grpc-js';
import { bind } from './bind.ts';
import { type Listen, type Method, screened, type Transport } from './call.ts';
import { failWith } from './failure.ts';
import { type GrpcJsCall, GrpcJsStreamingCall, GrpcJsUnaryCall } from './grpc-js-call.ts';
import { prepareHttp2 } from './grpc-js-http2.ts';
import { limitMessages } from './grpc-js-message-limit.ts';
import { GrpcJsWayBacks } from './grpc-js-way-back.ts';
import type { MessageParts } from './message-parts.ts';

/**
 * Megabytes that one connection may hold, mostly answers that its peer does not read. Above it Node refuses new streams, and
 * then ends the connection. A sidecar has all its callers on one: 256 are 400 answers of 602 KB at a time.
 */
const SESSION_MEMORY_MB = 256;
/** A peer that is gone without a word is noticed within 80 s. */
const KEEPALIVE_TIME_MS = 60_000;
const KEEPALIVE_TIMEOUT_MS = 20_000;
/** Connections are renewed, so that new replicas get their share; calls have the grace to end. */
const MAX_CONNECTION_AGE_MS = 60 * 60_000;
const MAX_CONNECTION_AGE_GRACE_MS = 10 * 60_000;
/** Part of the drain time reserved for the last statuses, and for peers to close their end. */
const CLOSE_MS = 100;

export const listenGrpcJs: Listen = async (options, routes) => {
  const server = new Server({
    'grpc.enable_channelz': 0,
    'grpc.max_receive_message_length': options.maxMessageBytes,
    'grpc.max_send_message_length': -1,
    'grpc.max_concurrent_streams': options.maxConcurrentStreams,
    'grpc-node.max_session_memory': SESSION_MEMORY_MB,
    'grpc.keepalive_time_ms': KEEPALIVE_TIME_MS,
    'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
    'grpc.max_connection_age_ms': MAX_CONNECTION_AGE_MS,
    'grpc.max_connection_age_grace_ms': MAX_CONNECTION_AGE_GRACE_MS,
    interceptors: [limitMessages(routes, options.maxMessageBytes)],
  });
  const calls = new Set<GrpcJsCall>();
  const wayBacks = new GrpcJsWayBacks();
  for (const [path, method] of routes) register(server, path, method, { calls, wayBacks });
  // The sockets are ours: a bind error keeps its code, and a drain can close those that never became a session.
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const sessions = prepareHttp2(server, options, routes, wayBacks);
  const sockets = new Set<Socket>();
  const listener = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    // An error is followed by the close.
    socket.on('error', () => {});
    socket.once('close', () => sockets.delete(socket));
    injector.injectConnection(socket);
  });
  const port = await bind(listener, options);
  return new GrpcJsTransport(port, { server, listener, calls, sessions, sockets });
};

interface CallTools {
  readonly calls: Set<GrpcJsCall>;
  readonly wayBacks: GrpcJsWayBacks;
}

/** Messages stay bytes here; what they mean is the methods' business. */
function register(server: Server, path: string, method: Method, { calls, wayBacks }: CallTools): void {
  const serve = (call: GrpcJsCall, inner: EventEmitter, handle: () => void): void => {
    calls.add(call);
    inner.once('cancelled', () => {
      calls.delete(call);
      call.close();
    });
    const refusal = screened(call, method);
    call.start(refusal === undefined ? handle : () => failWith(call, refusal));
  };
  if (method.kind === 'unary') {
    const handler: handleUnaryCall<Buffer, MessageParts> = (inner, respond) => {
      const call = new GrpcJsUnaryCall(path, inner, respond, wayBacks.of(inner.getPeer()));
      serve(call, inner, () => method.handle(call));
    };
    server.register(path, handler, asBuffer, identity, 'unary');
  } else {
    const handler: handleBidiStreamingCall<Buffer, MessageParts> = (inner) => {
      const call = new GrpcJsStreamingCall(path, inner, wayBacks.of(inner.getPeer()));
      serve(call, inner, () => method.handle(call));
    };
    server.register(path, handler, asBuffer, identity, 'bidi');
  }
}

/** grpc-js asks a serialized message for its length, and to copy itself: the parts can do both. */
function asBuffer(parts: MessageParts): Buffer {
  return parts as unknown as Buffer;
}

function identity(message: Buffer): Buffer {
  return message;
}

interface TransportParts {
  readonly server: Server;
  readonly listener: Listener;
  readonly calls: ReadonlySet<GrpcJsCall>;
  readonly sessions: ReadonlySet<ServerHttp2Session>;
  readonly sockets: ReadonlySet<Socket>;
}

class GrpcJsTransport implements Transport {
  readonly port: number;
  readonly #parts: TransportParts;
  #drained: Promise<void> | undefined;

  constructor(port: number, parts: TransportParts) {
    this.port = port;
    this.#parts = parts;
  }

  drain(graceMs: number): Promise<void> {
    this.#drained ??= this.#drain(graceMs);
    return this.#drained;
  }

  /** It is over when the listener's last socket is: grpc-js's own shutdown waits for silent peers, or for nothing at all. */
  async #drain(graceMs: number): Promise<void> {
    const { server, listener, calls, sessions, sockets } = this.#parts;
    const closed = new Promise<void>((resolve) => listener.close(() => resolve()));
    // A session ends its socket after its last call; a peer that then does not close its end is not waited for.
    for (const socket of sockets) socket.once('finish', () => setTimeout(() => socket.destroy(), CLOSE_MS).unref());
    for (const session of sessions) session.close();
    const abandonAll = (): void => {
      for (const call of calls) call.abandon();
    };
    const abandonment = setTimeout(abandonAll, Math.max(0, graceMs - CLOSE_MS));
    const end = setTimeout(() => {
      for (const socket of sockets) socket.destroy();
    }, graceMs);
    await closed;
    clearTimeout(abandonment);
    clearTimeout(end);
    server.forceShutdown();
  }
}
