/**
 * The HTTP port: HTTP/1.1 for probes, metrics and REST, on Node's parser. Which connection may stay is decided here, and by what it
 * does: see docs/transport.md.
 */

import { createServer as createHttpServer, type Server as HttpServer, type IncomingMessage } from 'node:http';
import { createServer, type Server, type Socket } from 'node:net';
import { InferError } from '../../errors.ts';
import type { HttpGauges } from '../../ops/gateway-state.ts';
import type { HttpLimits } from '../../ops/http-limits.ts';
import { bind } from '../bind.ts';
import { ConnectionTable } from './connection-table.ts';
import type { HttpHandler, RestHandler } from './http-answer.ts';
import { type ConnectionHost, HttpConnection } from './http-connection.ts';
import { answerOf, type HttpExchange } from './http-exchange.ts';
import { limitReached } from './limit-events.ts';
import { RequestSlots } from './request-slots.ts';
import { UnreadAnswers } from './unread-answers.ts';

export interface HttpPortOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly limits: HttpLimits;
  /** Answers `/livez`, `/readyz`, `/metrics`, and says what there is for every other path. */
  readonly pages: HttpHandler;
  /** Answers what begins with `/v2`; absent where REST is off. */
  readonly rest?: RestHandler;
  /** Paths that `rest` answers besides the usual. */
  readonly restPaths?: readonly string[];
}

export interface HttpPort {
  readonly port: number;
  readonly gauges: HttpGauges;
  /** From now on every answer says `connection: close`. */
  announceEnd(): void;
  /**
   * Resolves when the answers of all connections that are open now have been taken, and those that are idle are closed; what is
   * not done after `graceMs` is cut. New connections are still answered, with `connection: close`.
   */
  drain(graceMs: number): Promise<void>;
  /** Closes the listener, and every connection within `graceMs`. */
  close(graceMs: number): Promise<void>;
}

const UPKEEP_MS = 1_000;
const DRAIN_UPKEEP_MS = 25;
/** The part of the time to drain that is left for the last answers to go out. */
const CLOSE_MS = 100;
/**
 * A connection that was in use so shortly before is not closed in a drain: its next request, which could cross the close, comes
 * first and is answered with `connection: close`.
 */
const QUIET_MS = 250;
/** Turns of the event loop in which a listener that is to be closed accepts what still comes. */
const MAX_TURNS = 1_000;
/** The first turn may have begun after the loop looked for connections. */
const QUIET_TURNS = 2;

/** Refusals of bytes that are no request, by error code of Node's parser. */
const REFUSALS: Readonly<Record<string, (limits: HttpLimits) => readonly [code: number, text: string]>> = {
  HPE_HEADER_OVERFLOW: ({ maxHeaderBytes }) => [
    431,
    `request line and headers are longer than ${maxHeaderBytes} bytes (httpMaxHeaderBytes)`,
  ],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: () => [413, 'the extensions of a chunk are longer than 16384 bytes'],
};

/**
 * Starts to listen. That it answers at all is what `/livez` says.
 * @throws Error that names the address and says what to do about it
 */
export async function listenHttp(options: HttpPortOptions): Promise<HttpPort> {
  const port = new BoundHttpPort(options);
  await port.listen(options);
  return port;
}

class BoundHttpPort implements HttpPort, ConnectionHost {
  readonly limits: HttpLimits;
  readonly unread: UnreadAnswers;
  readonly restPaths: ReadonlySet<string>;
  isEnding = false;
  #port = 0;
  readonly #pages: HttpHandler;
  readonly #rest: RestHandler | undefined;
  readonly #slots: RequestSlots;
  readonly #connections = new ConnectionTable();
  readonly #of = new WeakMap<Socket, HttpConnection>();
  /** It parses, and never listens. */
  readonly #parser: HttpServer;
  readonly #listener: Server;
  #upkeep: NodeJS.Timeout | undefined;
  /** Connections since the start. */
  #accepted = 0;

  constructor({ limits, pages, rest, restPaths = [] }: HttpPortOptions) {
    this.limits = limits;
    this.unread = new UnreadAnswers(limits.maxUnreadBytesInAll);
    this.restPaths = new Set(restPaths);
    this.#pages = pages;
    this.#rest = rest;
    this.#slots = new RequestSlots(limits);
    this.#parser = this.#makeParser();
    this.#listener = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#open(socket));
  }

  get port(): number {
    return this.#port;
  }

  get gauges(): HttpGauges {
    return {
      connections: this.#connections.size,
      requests: this.#slots.taken,
      unreadBytes: this.unread.bytes,
    };
  }

  async listen(address: { readonly host: string; readonly port: number }): Promise<void> {
    this.#port = await bind(this.#listener, address);
    this.#keepUpEvery(UPKEEP_MS);
  }

  serve(exchange: HttpExchange, { address }: HttpConnection): Promise<void> {
    if (!exchange.isRest || this.#rest === undefined) return exchange.run(this.#pages);
    const refusal = this.#slots.take(address);
    if (refusal === undefined) return exchange.run(this.#rest.handle, () => this.#slots.give(address));
    const { headers, ...answer } = answerOf(new InferError('queue_full', refusal, { pushback: 1_000 }));
    return exchange.answer({ ...answer, headers: { ...headers, connection: 'close' } });
  }

  beginWait(address: string): boolean {
    return this.#slots.take(address) === undefined;
  }

  endWait(address: string): void {
    this.#slots.give(address);
  }

  changesNothing(request: IncomingMessage): boolean {
    return this.#rest?.changesNothing(request) === true;
  }

  closed(connection: HttpConnection): void {
    this.#connections.remove(connection);
  }

  announceEnd(): void {
    this.isEnding = true;
  }

  async drain(graceMs: number): Promise<void> {
    this.announceEnd();
    let open: Iterable<HttpConnection> = [...this.#connections];
    const { promise: drained, resolve } = Promise.withResolvers<void>();
    const look = (): void => {
      const busy = this.#retireQuiet(open, QUIET_MS);
      open = busy;
      if (busy.size === 0) resolve();
    };
    this.#keepUpEvery(DRAIN_UPKEEP_MS);
    const looks = setInterval(look, DRAIN_UPKEEP_MS);
    const abandonment = setTimeout(
      () => {
        for (const connection of open) connection.abandon();
      },
      Math.max(0, graceMs - CLOSE_MS),
    );
    const end = setTimeout(resolve, graceMs);
    look();
    await drained;
    clearInterval(looks);
    clearTimeout(abandonment);
    clearTimeout(end);
    for (const connection of open) connection.destroy();
  }

  async close(graceMs: number): Promise<void> {
    this.announceEnd();
    await this.#acceptAll();
    const closed = new Promise<void>((resolve) => this.#listener.close(() => resolve()));
    const end = setTimeout(() => {
      for (const connection of this.#connections) connection.destroy();
    }, graceMs);
    // A connection that has just been opened is about to send its request.
    const retirement = setInterval(() => this.#retireQuiet(this.#connections, graceMs / 2), DRAIN_UPKEEP_MS);
    this.#retireQuiet(this.#connections, graceMs / 2);
    await Promise.all([closed, this.#connections.empty()]);
    clearInterval(retirement);
    clearTimeout(end);
    clearInterval(this.#upkeep);
  }

  /** The kernel resets connections that wait when a listener closes; each turn of the event loop accepts one connection. */
  async #acceptAll(): Promise<void> {
    let quietTurns = 0;
    for (let turn = 0; turn < MAX_TURNS && quietTurns < QUIET_TURNS; turn++) {
      const before = this.#accepted;
      await new Promise((resolve) => setImmediate(resolve));
      quietTurns = this.#accepted === before ? quietTurns + 1 : 0;
    }
  }

  /** Closes those that are idle and were not in use for `quietMs`, and gives the others. */
  #retireQuiet(connections: Iterable<HttpConnection>, quietMs: number): Set<HttpConnection> {
    const now = performance.now();
    const busy = new Set<HttpConnection>();
    for (const connection of connections) {
      if (connection.owes(now, quietMs)) busy.add(connection);
      else connection.retire();
    }
    return busy;
  }

  #makeParser(): HttpServer {
    const parser = createHttpServer({
      maxHeaderSize: this.limits.maxHeaderBytes,
      // Its clocks are not used: they look at connections twice a minute, and a byte now and then satisfies them.
      headersTimeout: 0,
      requestTimeout: 0,
      keepAliveTimeout: this.limits.keepAliveMs,
      keepAliveTimeoutBuffer: UPKEEP_MS,
    });
    // All that fit into the bytes of a head: those above a number would be dropped without a word.
    parser.maxHeadersCount = 0;
    parser.on('request', (request, response) => this.#connectionOf(request)?.accept(request, response));
    parser.on('checkContinue', (request, response) => this.#connectionOf(request)?.accept(request, response));
    parser.on('timeout', (socket) => this.#of.get(socket)?.retire());
    parser.on('clientError', ({ code = '' }: NodeJS.ErrnoException, socket) => {
      const [status, text] = REFUSALS[code]?.(this.limits) ?? [400, 'the bytes are no HTTP/1.1 request'];
      this.#of.get(socket as Socket)?.refuse(status, text);
    });
    return parser;
  }

  #open(socket: Socket): void {
    this.#accepted++;
    if (this.#connections.size >= this.limits.maxConnections) {
      limitReached('maxConnections');
      const spared = this.#connections.leastUseful();
      if (spared === undefined) {
        socket.destroy();
        return;
      }
      this.#connections.remove(spared);
      spared.destroy();
    }
    const connection = new HttpConnection(this, socket);
    this.#connections.add(connection);
    this.#of.set(socket, connection);
    this.#parser.emit('connection', socket);
  }

  #connectionOf({ socket }: IncomingMessage): HttpConnection | undefined {
    return this.#of.get(socket);
  }

  #keepUpEvery(ms: number): void {
    clearInterval(this.#upkeep);
    this.#upkeep = setInterval(() => {
      const now = performance.now();
      for (const connection of this.#connections) connection.upkeep(now);
    }, ms).unref();
  }
}
