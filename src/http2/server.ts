/** An HTTP/2 server on Node's sockets, in cleartext (with prior knowledge) or over TLS. */

import { type AddressInfo, createServer as createNetServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { ByteBudget } from './byte-budget.ts';
import { Connection, type ConnectionHost, TOO_MUCH_UNREAD } from './connection.ts';
import type { ConnectionGroup } from './connection-group.ts';
import { ErrorCode } from './error-code.ts';
import { makeRoomForRequest } from './incoming-room.ts';
import { DEFAULT_LIMITS, type Http2Limits, type LimitName } from './limits.ts';
import { type Peer, peerOf, peerOfTls } from './peer.ts';
import type { Protocol } from './protocol.ts';
import type { RoomNeed } from './request-room.ts';
import { ALPN_HTTP2, type TlsIdentity } from './tls-identity.ts';

/** Part of the drain time reserved for the last answers. */
const CLOSE_MS = 100;
/** How often each connection is looked at. */
const UPKEEP_MS = 1_000;

/** Sockets of other servers, where there are none. */
const NOWHERE = { all: 0, ofAddress: 0 } as const;

export interface Http2ServerOptions {
  /** Those that are not given have their defaults. */
  readonly limits?: Partial<Http2Limits>;
  /** Limit per connection. */
  readonly maxConcurrentStreams: number;
  /** Without it the server is cleartext. */
  readonly tls?: TlsIdentity | undefined;
  /** The other servers on the same port. `maxConnections` and `maxConnectionsPerAddress` are for all of them together. */
  readonly group?: ConnectionGroup | undefined;
  /** A limit has refused, ended or closed something. */
  readonly onLimit?: (name: LimitName) => void;
  /** A fault of this code, or of the protocol, has ended a connection. */
  readonly onFault?: (fault: unknown) => void;
}

export interface Http2Gauges {
  readonly connections: number;
  /** Requests that are not complete, or not answered. */
  readonly streams: number;
  /** Bytes of requests that are incomplete or unread. */
  readonly incomingBytes: number;
  /** Bytes of answers that peers have not read. */
  readonly unreadBytes: number;
}

interface Address {
  sockets: number;
  /** Bytes of requests that all connections hold. */
  readonly incoming: ByteBudget;
}

export class Http2Server implements ConnectionHost {
  readonly limits: Http2Limits;
  readonly maxConcurrentStreams: number;
  readonly incoming: ByteBudget;
  readonly unread: ByteBudget;
  now = performance.now();
  /** The listener to bind. It accepts its own connections; `accept` takes connections from others. */
  readonly listener: Server;
  readonly protocol: Protocol;
  readonly #group: ConnectionGroup | undefined;
  readonly #onLimit: Http2ServerOptions['onLimit'];
  readonly #onFault: Http2ServerOptions['onFault'];
  #stopWatching: (() => void) | undefined;
  /** Open TCP sockets, with or without an HTTP/2 connection. */
  readonly #sockets = new Set<Socket>();
  readonly #addresses = new Map<string, Address>();
  /** Sockets in their TLS handshake, by address. */
  readonly #handshaking = new Map<string, Socket>();
  readonly #connections = new Set<Connection>();
  #toFlush: Connection[] = [];
  #port = 0;
  #upkeep: NodeJS.Timeout | undefined;
  #drained: Promise<void> | undefined;
  /** Called when no socket is left. */
  #onEmpty: (() => void) | undefined;

  constructor(protocol: Protocol, options: Http2ServerOptions) {
    const { tls } = options;
    this.protocol = protocol;
    this.limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.maxConcurrentStreams = options.maxConcurrentStreams;
    this.#group = options.group;
    this.#onLimit = options.onLimit;
    this.#onFault = options.onFault;
    const { maxIncomingBytesInAll, maxUnreadBytesInAll } = this.limits;
    this.incoming = new ByteBudget(maxIncomingBytesInAll, 'maxIncomingBytesInAll', undefined, this);
    this.unread = new ByteBudget(maxUnreadBytesInAll, 'maxUnreadBytesInAll', undefined, this);
    this.listener = tls === undefined ? this.#listenPlain() : this.#listenTls(tls);
    this.listener.on('listening', () => {
      this.#port = (this.listener.address() as AddressInfo | null)?.port ?? 0;
      this.#upkeep = setInterval(() => this.#keepUp(), UPKEEP_MS).unref();
    });
  }

  /** Where the listener is bound, or was until it was closed. */
  get port(): number {
    return this.#port;
  }

  get gauges(): Http2Gauges {
    let streams = 0;
    for (const connection of this.#connections) streams += connection.streams.size;
    return {
      connections: this.#sockets.size,
      streams,
      incomingBytes: this.incoming.used,
      unreadBytes: this.unread.used,
    };
  }

  /**
   * Takes a connection that another listener has accepted, such as one of several that share a port with `reusePort`. With
   * TLS the handshake is still to come. A drain ends it like every other.
   */
  accept(socket: Socket): void {
    socket.setNoDelay(true);
    this.listener.emit('connection', socket);
  }

  /**
   * Closes the listener and sends GOAWAY; resolves when every request is answered and every connection closed, at the latest
   * after `graceMs`: shortly before that, exchanges that are under way are abandoned.
   */
  drain(graceMs: number): Promise<void> {
    this.#drained ??= this.#drain(graceMs);
    return this.#drained;
  }

  limitReached(name: LimitName): void {
    this.#onLimit?.(name);
  }

  failed(fault: unknown): void {
    this.#onFault?.(fault);
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

  #listenPlain(): Server {
    const listener = createNetServer({ noDelay: true });
    listener.on('connection', (socket) => {
      if (this.#admit(socket)) this.#connect(socket, peerOf(socket));
    });
    return listener;
  }

  #listenTls(tls: TlsIdentity): Server {
    const listener = createTlsServer({ noDelay: true, handshakeTimeout: this.limits.handshakeMs, ...tls.options() });
    listener.on('listening', () => {
      this.#stopWatching = tls.watch(listener);
    });
    listener.on('connection', (socket) => {
      if (this.#admit(socket)) this.#handshaking.set(peerOf(socket).address, socket);
    });
    listener.on('secureConnection', (socket) => this.#connectTls(socket));
    // When a handshake takes too long, Node reports it and leaves the socket open.
    listener.on('tlsClientError', ({ code }: NodeJS.ErrnoException, socket) => {
      if (code === 'ERR_TLS_HANDSHAKE_TIMEOUT') this.limitReached('handshakeMs');
      socket.destroy();
    });
    return listener;
  }

  /** Counts a socket, or closes it. */
  #admit(socket: Socket): boolean {
    this.now = performance.now();
    const { maxConnections, maxConnectionsPerAddress } = this.limits;
    const host = socket.remoteAddress ?? '';
    // Counted before the others are asked: of two servers that take the last place at once, none exceeds the limit.
    this.#group?.opened(host);
    const elsewhere = this.#group?.others(host) ?? NOWHERE;
    const neighbours = (this.#addresses.get(host)?.sockets ?? 0) + elsewhere.ofAddress;
    const isFull = this.#sockets.size + elsewhere.all >= maxConnections;
    if (isFull || neighbours >= maxConnectionsPerAddress) {
      this.#group?.closed(host);
      this.limitReached(isFull ? 'maxConnections' : 'maxConnectionsPerAddress');
      socket.destroy();
      return false;
    }
    const ofHost = this.#addressOf(host);
    ofHost.sockets++;
    this.#sockets.add(socket);
    const { address } = peerOf(socket);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      this.#group?.closed(host);
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
    const closed = new Promise<void>((resolve) => this.listener.close(() => resolve()));
    this.#stopWatching?.();
    for (const socket of this.#handshaking.values()) socket.destroy();
    for (const connection of this.#connections) connection.drain();
    const abandonment = setTimeout(
      () => {
        for (const connection of this.#connections) connection.abandon();
      },
      Math.max(0, graceMs - CLOSE_MS),
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
