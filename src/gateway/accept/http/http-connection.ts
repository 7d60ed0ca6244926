/**
 * One connection of the HTTP port: its requests in their order, and how long it may do nothing.
 *
 *   head ──▶ exchange ──▶ head …      ──▶ closing: our side has ended (FIN), the client's has not
 *
 * HTTP-1: an accepted request is answered before its connection is closed, unless its client is too slow or breaks the protocol.
 * HTTP-2: a connection is closed by FIN and read on for a moment, because a client that still sends would get a reset, and
 *         lose the answer with it.
 * HTTP-3: a pipelined request is begun before the answers to those before it only where neither it nor they change anything
 *         (RFC 9112, section 9.3.2). Node sends the answers in the order of the requests.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { WayBack } from '../../../http2/way-back.ts';
import { InferError } from '../../errors.ts';
import { errorAnswer } from './http-answer.ts';
import { answerOf, type ExchangeConnection, type ExchangeHost, HttpExchange } from './http-exchange.ts';
import { limitReached } from './limit-events.ts';

/** Pipelined requests that may be under way at once. */
const MAX_UNDER_WAY = 16;
/** Pipelined requests that may wait besides, where all connections together leave them the slots. */
const MAX_WAITING = 16;
/** Pipelined requests behind those that may come before the connection has ended. */
const MAX_UNTAKEN = 128;
/** Time that a client of a closed connection has to close its side, besides that for what it still has to read. */
const LINGER_MS = 1_000;
/** How long it may go on sending. */
const LINGER_SENDING_MS = 5_000;

export interface ConnectionHost extends ExchangeHost {
  /** Answers the request of the exchange. Never rejects. */
  serve(exchange: HttpExchange, connection: HttpConnection): Promise<void>;
  /** One more request of the address waits, and counts as one that is under way until `endWait`. False: it has no room. */
  beginWait(address: string): boolean;
  endWait(address: string): void;
  closed(connection: HttpConnection): void;
}

interface Closing {
  readonly since: number;
  /** Bytes that had come by then. */
  readonly bytesRead: number;
  /** Bytes of the answer that may still be on its way: the kernel has taken them, the client perhaps not. */
  readonly answerBytes: number;
}

export class HttpConnection implements ExchangeConnection {
  readonly address: string;
  readonly openedAt = performance.now();
  readonly wayBack = new WayBack();
  readonly #host: ConnectionHost;
  readonly #socket: Socket;
  /** The oldest first. */
  readonly #underWay: HttpExchange[] = [];
  readonly #waiting: HttpExchange[] = [];
  /** Requests that came while no more could wait. From the first on, their client has to send them again. */
  #untaken = 0;
  #closing: Closing | undefined;
  /** Since when it waits for the head of a request. */
  #waitsSince = this.openedAt;
  /** Bytes that had come then. */
  #bytesBefore = 0;
  /** A request was answered. */
  #isKnown = false;
  /** When the head of a further request was found to have begun. */
  #headSince: number | undefined;
  /** Refusal of the bytes that follow the requests being answered. */
  #refusal: { readonly code: number; readonly text: string } | undefined;

  constructor(host: ConnectionHost, socket: Socket) {
    this.#host = host;
    this.#socket = socket;
    this.address = socket.remoteAddress ?? '';
    // Node calls it after an answer with `connection: close`, and would close at once (HTTP-2).
    socket.destroySoon = () => this.#close(this.#newest?.answerBytes ?? 0);
    socket.once('close', () => {
      this.#dropWaiting();
      for (const exchange of this.#underWay) exchange.lose();
      host.closed(this);
    });
  }

  /** A request over REST is under way, or waits. */
  get isServing(): boolean {
    return this.#newest?.isRest === true || this.#waiting.length > 0;
  }

  /** Since when it does nothing that is worth its place; `undefined`: it is at work. */
  get uselessSince(): number | undefined {
    if (this.#closing !== undefined) return this.#closing.since;
    if (this.#newest === undefined) return this.#waitsSince;
    return this.isServing || !this.#newest.isAnswering ? undefined : this.#waitsSince;
  }

  /** The last request that was begun. */
  get #newest(): HttpExchange | undefined {
    return this.#underWay.at(-1);
  }

  /** An answer is due or on its way, or a further request may be: the last one was less than `quietMs` ago. */
  owes(now: number, quietMs: number): boolean {
    if (this.#socket.destroyed) return false;
    if (this.#closing !== undefined) return this.#closing.answerBytes > 0;
    return this.#underWay.length > 0 || now - this.#waitsSince < quietMs;
  }

  /** Takes a request whose head has come. */
  accept(request: IncomingMessage, response: ServerResponse): void {
    const exchange = new HttpExchange(this.#host, this, request, response);
    // Bytes that came before it was cut may hold more requests.
    const takesMore = this.#untaken === 0 && this.#closing === undefined && !this.#socket.destroyed;
    if (takesMore && this.#waiting.length === 0 && this.#mayBegin(exchange)) void this.#serve(exchange);
    else if (takesMore && this.#waiting.length < MAX_WAITING && this.#host.beginWait(this.address)) {
      this.#waiting.push(exchange);
    } else {
      // The socket is not paused: Node would resume it for each, and then not stop at a long body that no one reads yet.
      exchange.drop();
      this.#untaken++;
      if (this.#untaken > MAX_UNTAKEN) this.destroy();
    }
  }

  isLast(exchange: HttpExchange): boolean {
    if (exchange !== this.#newest) return false;
    return this.#host.isEnding || (this.#untaken > 0 && this.#waiting.length === 0);
  }

  /** Answers bytes that are not HTTP, or a head that is too long. */
  refuse(code: number, text: string): void {
    if (this.#closing !== undefined) return;
    const newest = this.#newest;
    if (newest?.isComplete === true) {
      // HTTP-1: the answers of the requests before come first.
      this.#socket.pause();
      this.#refusal = { code, text };
      return;
    }
    if (newest !== undefined && !newest.isAnswering) {
      // The error is about its body, which will never be whole.
      void newest.answer(errorAnswer(code, text));
      return;
    }
    if (newest !== undefined || !this.#socket.writable) {
      this.destroy();
      return;
    }
    const { headers, chunks } = errorAnswer(code, text);
    const [body = new Uint8Array()] = chunks;
    const fields = { ...headers, 'content-length': String(body.byteLength), connection: 'close' };
    const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
    this.#socket.write(Buffer.concat([Buffer.from(`HTTP/1.1 ${code} \r\n${lines.join('')}\r\n`), body]));
    this.#close(body.byteLength);
  }

  /** Closes it where it is idle. A request that waits for its answer gets it. */
  retire(): void {
    if (this.#underWay.length === 0 && this.#closing === undefined) this.#close(0);
  }

  /** Answers the requests that are under way with an error, unless they are being answered. */
  abandon(): void {
    const text = 'the server ended before it could answer this: try another replica';
    const answer = answerOf(new InferError('draining', text, { pushback: 0 }));
    for (const exchange of this.#underWay) void exchange.answer(answer);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** To be called about once a second. */
  upkeep(now: number): void {
    if (this.#closing !== undefined) this.#linger(this.#closing, now);
    else if (this.#underWay.length > 0) for (const exchange of this.#underWay) exchange.upkeep(now);
    else if (!this.#isKnown) this.#awaitHead(this.#waitsSince, now);
    else if (this.#socket.bytesRead > this.#bytesBefore) {
      this.#headSince ??= now;
      this.#awaitHead(this.#headSince, now);
    } else if (now - this.#waitsSince > this.#host.limits.keepAliveMs) this.#close(0);
  }

  /** Begins those that wait, as far as they may be under way beside those before them. */
  #begin(): void {
    for (let [next] = this.#waiting; next !== undefined && this.#mayBegin(next); [next] = this.#waiting) {
      this.#waiting.shift();
      // It takes its slot again at once, if it needs one.
      this.#host.endWait(this.address);
      void this.#serve(next);
    }
  }

  #dropWaiting(): void {
    for (const exchange of this.#waiting.splice(0)) {
      this.#host.endWait(this.address);
      exchange.drop();
    }
  }

  /** HTTP-3 */
  #mayBegin(exchange: HttpExchange): boolean {
    const newest = this.#newest;
    if (newest === undefined) return true;
    if (this.#underWay.length === MAX_UNDER_WAY || this.#host.isEnding || newest.endsConnection) return false;
    return newest.changesNothing && exchange.changesNothing;
  }

  async #serve(exchange: HttpExchange): Promise<void> {
    this.#waitsSince = performance.now();
    this.#underWay.push(exchange);
    await this.#host.serve(exchange, this);
    this.#underWay.splice(this.#underWay.indexOf(exchange), 1);
    if (this.#closing !== undefined) this.#dropWaiting();
    this.#begin();
    if (this.#underWay.length === 0) this.#awaitNext();
  }

  /** All requests that have come are answered. */
  #awaitNext(): void {
    this.#isKnown = true;
    this.#waitsSince = performance.now();
    this.#bytesBefore = this.#socket.bytesRead;
    this.#headSince = undefined;
    if (this.#refusal !== undefined) this.refuse(this.#refusal.code, this.#refusal.text);
  }

  #awaitHead(since: number, now: number): void {
    const { headMs } = this.#host.limits;
    if (now - since <= headMs) return;
    limitReached('headMs');
    // A client that has said nothing asked for nothing: it may only have connected in advance.
    if (this.#socket.bytesRead === 0) this.#close(0);
    else this.refuse(408, `the head of a request did not come whole within ${headMs} ms (httpHeadMs)`);
  }

  /** HTTP-2 */
  #close(answerBytes: number): void {
    if (this.#closing !== undefined) return;
    this.#closing = { since: performance.now(), bytesRead: this.#socket.bytesRead, answerBytes };
    this.#socket.end();
    this.#socket.resume();
  }

  #linger({ since, bytesRead, answerBytes }: Closing, now: number): void {
    const { minBytesPerSecond, stallMs } = this.#host.limits;
    const readingMs = Math.min(stallMs, LINGER_MS + (answerBytes / minBytesPerSecond) * 1_000);
    const isSending = this.#socket.bytesRead > bytesRead;
    if (now - since > (isSending ? Math.max(readingMs, LINGER_SENDING_MS) : readingMs)) this.destroy();
  }
}
