/** The transport of our own: gRPC over HTTP/2 on Node's sockets, in cleartext (with prior knowledge) or over TLS. */

import { createServer as createNetServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { ByteBudget } from '../../../http2/byte-budget.ts';
import { Connection, type ConnectionHost, TOO_MUCH_UNREAD } from '../../../http2/connection.ts';
import { ErrorCode } from '../../../http2/error-code.ts';
import { makeRoomForRequest } from '../../../http2/incoming-room.ts';
import { limitReached } from '../../../http2/limit-events.ts';
import { DEFAULT_LIMITS, type Http2Limits } from '../../../http2/limits.ts';
import { peerOf, peerOfTls } from '../../../http2/peer.ts';
import type { RequestHead } from '../../../http2/request-head.ts';
import type { RoomNeed } from '../../../http2/request-room.ts';
import type { Http2Stream } from '../../../http2/stream.ts';
import { ALPN_HTTP2, type TlsIdentity } from '../../../http2/tls-identity.ts';
import { bind } from '../bind.ts';
import type { Listen, Peer, Routes, Transport, TransportLoad, TransportOptions } from '../call.ts';
import { GrpcService } from './grpc-service.ts';

/** Of the time to drain, what is left for the last statuses to go out. */
const FAREWELL_MS = 100;
/** How often each connection is looked at. */
const UPKEEP_MS = 1_000;

export interface Http2Options {
  /** Without it the transport is cleartext. */
  readonly tls?: TlsIdentity;
  readonly limits?: Partial<Http2Limits>;
}

export interface Http2Server extends Transport {
  /**
   * Takes a connection that another listener has accepted, such as one of several that share a port with `reusePort`. With
   * TLS the handshake is still to come. A drain ends it like every other.
   */
  accept(socket: Socket): void;
}

export const listenHttp2: Listen = http2Listener({});

/** @returns how to start a transport with `options` */
export function http2Listener({
  tls,
  limits,
}: Http2Options): (options: TransportOptions, routes: Routes) => Promise<Http2Server> {
  return async (options, routes) => {
    const transport = new Http2Transport({ ...DEFAULT_LIMITS, ...limits }, options, routes, tls);
    await transport.listen(options);
    return transport;
  };
}

/** What has come from one address. */
interface Address {
  sockets: number;
  /** What its connections hold of requests. */
  readonly incoming: ByteBudget;
}

class Http2Transport implements Http2Server, ConnectionHost {
  readonly limits: Http2Limits;
  readonly maxConcurrentStreams: number;
  readonly incoming: ByteBudget;
  readonly unread: ByteBudget;
  now = performance.now();
  #port = 0;
  readonly #service: GrpcService;
  readonly #listener: Server;
  readonly #watch: (() => () => void) | undefined;
  #stopWatching: (() => void) | undefined;
  /** Of TCP, whether there is a connection over them yet or not. */
  readonly #sockets = new Set<Socket>();
  readonly #addresses = new Map<string, Address>();
  /** Those of which TLS is not done, by address. */
  readonly #handshaking = new Map<string, Socket>();
  readonly #connections = new Set<Connection>();
  #toFlush: Connection[] = [];
  #upkeep: NodeJS.Timeout | undefined;
  #drained: Promise<void> | undefined;
  /** No socket is left. */
  #onEmpty: (() => void) | undefined;

  constructor(limits: Http2Limits, options: TransportOptions, routes: Routes, tls: TlsIdentity | undefined) {
    this.limits = limits;
    this.maxConcurrentStreams = options.maxConcurrentStreams;
    this.incoming = new ByteBudget(limits.maxIncomingBytesInAll, 'maxIncomingBytesInAll');
    this.unread = new ByteBudget(limits.maxUnreadBytesInAll, 'maxUnreadBytesInAll');
    this.#service = new GrpcService(routes, options, limits);
    if (tls === undefined) {
      this.#listener = createNetServer({ noDelay: true });
      this.#listener.on('connection', (socket) => {
        if (this.#admit(socket)) this.#connect(socket, peerOf(socket));
      });
    } else {
      const server = createTlsServer({ noDelay: true, handshakeTimeout: limits.handshakeMs, ...tls.options() });
      this.#watch = () => tls.watch(server);
      server.on('connection', (socket) => {
        if (this.#admit(socket)) this.#handshaking.set(peerOf(socket).address, socket);
      });
      server.on('secureConnection', (socket) => this.#connectTls(socket));
      // Of a handshake that takes too long Node tells, and leaves the socket open.
      server.on('tlsClientError', ({ code }: NodeJS.ErrnoException, socket) => {
        if (code === 'ERR_TLS_HANDSHAKE_TIMEOUT') limitReached('handshakeMs');
        socket.destroy();
      });
      this.#listener = server;
    }
  }

  get port(): number {
    return this.#port;
  }

  get load(): TransportLoad {
    let streams = 0;
    for (const connection of this.#connections) streams += connection.streams.size;
    return {
      connections: this.#sockets.size,
      streams,
      incomingBytes: this.incoming.used,
      unreadBytes: this.unread.used,
    };
  }

  async listen(address: { readonly host: string; readonly port: number }): Promise<void> {
    this.#port = await bind(this.#listener, address);
    this.#stopWatching = this.#watch?.();
    this.#upkeep = setInterval(() => this.#keepUp(), UPKEEP_MS).unref();
  }

  accept(socket: Socket): void {
    socket.setNoDelay(true);
    this.#listener.emit('connection', socket);
  }

  drain(graceMs: number): Promise<void> {
    this.#drained ??= this.#drain(graceMs);
    return this.#drained;
  }

  open(stream: Http2Stream, head: RequestHead): void {
    this.#service.open(stream, head);
  }

  flushSoon(connection: Connection): void {
    if (this.#toFlush.push(connection) === 1) setImmediate(() => this.#flush());
  }

  makeRoom(bytes: number, connection: Connection): boolean {
    while (!this.unread.has(bytes)) {
      let worst = connection;
      for (const other of this.#connections) if (other.unread.used > worst.unread.used) worst = other;
      if (worst === connection) return false;
      worst.abort(ErrorCode.ENHANCE_YOUR_CALM, TOO_MUCH_UNREAD);
    }
    return true;
  }

  makeRoomForRequest(connection: Connection, need: RoomNeed): boolean {
    return makeRoomForRequest(this.incoming, this.#connections, connection, need);
  }

  closed(connection: Connection): void {
    this.#connections.delete(connection);
  }

  /** Counts a socket, or closes it. */
  #admit(socket: Socket): boolean {
    this.now = performance.now();
    const { maxConnections, maxConnectionsPerAddress } = this.limits;
    const host = socket.remoteAddress ?? '';
    const neighbours = this.#addresses.get(host)?.sockets ?? 0;
    const isFull = this.#sockets.size >= maxConnections;
    if (isFull || neighbours >= maxConnectionsPerAddress) {
      limitReached(isFull ? 'maxConnections' : 'maxConnectionsPerAddress');
      socket.destroy();
      return false;
    }
    const ofHost = this.#addressOf(host);
    ofHost.sockets++;
    this.#sockets.add(socket);
    const { address } = peerOf(socket);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      if (--ofHost.sockets === 0) this.#addresses.delete(host);
      this.#handshaking.delete(address);
      if (this.#sockets.size === 0) this.#onEmpty?.();
    });
    return true;
  }

  #addressOf(host: string): Address {
    let address = this.#addresses.get(host);
    if (address === undefined) {
      const incoming = new ByteBudget(Number.POSITIVE_INFINITY, 'maxIncomingBytesInAll', this.incoming);
      address = { sockets: 0, incoming };
      this.#addresses.set(host, address);
    }
    return address;
  }

  #connect(socket: Socket, peer: Peer): void {
    const { incoming } = this.#addressOf(socket.remoteAddress ?? '');
    const connection = new Connection(this, socket, peer, incoming);
    this.#connections.add(connection);
    if (this.#drained !== undefined) connection.drain();
  }

  /** RFC 9113, section 3.3: over TLS the client says by ALPN that it speaks HTTP/2. */
  #connectTls(socket: TLSSocket): void {
    const peer = peerOfTls(socket);
    this.#handshaking.delete(peer.address);
    if (socket.alpnProtocol === ALPN_HTTP2) this.#connect(socket, peer);
    else socket.destroy();
  }

  #flush(): void {
    const connections = this.#toFlush;
    this.#toFlush = [];
    for (const connection of connections) connection.flush();
  }

  #keepUp(): void {
    this.now = performance.now();
    for (const connection of this.#connections) connection.upkeep();
  }

  async #drain(graceMs: number): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#listener.close(() => resolve()));
    this.#stopWatching?.();
    for (const socket of this.#handshaking.values()) socket.destroy();
    for (const connection of this.#connections) connection.drain();
    const abandonment = setTimeout(
      () => {
        for (const connection of this.#connections) connection.abandon();
      },
      Math.max(0, graceMs - FAREWELL_MS),
    );
    const end = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy();
    }, graceMs);
    await closed;
    // The listener does not know of those that others have accepted.
    if (this.#sockets.size > 0) await new Promise<void>((resolve) => (this.#onEmpty = resolve));
    clearTimeout(abandonment);
    clearTimeout(end);
    clearInterval(this.#upkeep);
  }
}
