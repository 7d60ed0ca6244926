/**
 * One connection of the HTTP port: its requests one after another, and how long it may do nothing.
 *
 *   head ──▶ exchange ──▶ head …      ──▶ closing: our side has ended (FIN), the client's has not
 *
 * HTTP-1: an accepted request is answered before its connection is closed, unless its client is too slow or breaks the protocol.
 * HTTP-2: a connection is closed by FIN and read on for a moment, because a client that still sends would get a reset, and
 *         lose the answer with it.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { WayBack } from '../../../http2/way-back.ts';
import { InferError } from '../../errors.ts';
import { errorAnswer } from './http-answer.ts';
import { answerOf, type ExchangeHost, HttpExchange } from './http-exchange.ts';
import { limitReached } from './limit-events.ts';

/** Requests that may wait while one is being answered. */
const MAX_PIPELINED = 16;
/** Time that a client of a closed connection has to close its side, besides that for what it still has to read. */
const LINGER_MS = 1_000;
/** How long it may go on sending. */
const LINGER_SENDING_MS = 5_000;

export interface ConnectionHost extends ExchangeHost {
  /** Answers the request of the exchange. Never rejects. */
  serve(exchange: HttpExchange, connection: HttpConnection): Promise<void>;
  closed(connection: HttpConnection): void;
}

interface Waiting {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

interface Closing {
  readonly since: number;
  /** Bytes that had come by then. */
  readonly bytesRead: number;
  /** Bytes of the answer that may still be on its way: the kernel has taken them, the client perhaps not. */
  readonly answerBytes: number;
}

export class HttpConnection {
  readonly address: string;
  readonly openedAt = performance.now();
  readonly #host: ConnectionHost;
  readonly #socket: Socket;
  readonly #waiting: Waiting[] = [];
  readonly #wayBack = new WayBack();
  #exchange: HttpExchange | undefined;
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
    socket.destroySoon = () => this.#close(this.#exchange?.answerBytes ?? 0);
    socket.once('close', () => host.closed(this));
  }

  /** A request over REST is under way, or waits. */
  get isServing(): boolean {
    return this.#exchange?.isRest === true || this.#waiting.length > 0;
  }

  /** Since when it does nothing that is worth its place; `undefined`: it is at work. */
  get uselessSince(): number | undefined {
    if (this.#closing !== undefined) return this.#closing.since;
    if (this.#exchange === undefined) return this.#waitsSince;
    return this.isServing || !this.#exchange.isAnswering ? undefined : this.#waitsSince;
  }

  /** An answer is due or on its way, or a further request may be: the last one was less than `quietMs` ago. */
  owes(now: number, quietMs: number): boolean {
    if (this.#socket.destroyed) return false;
    if (this.#closing !== undefined) return this.#closing.answerBytes > 0;
    return this.#exchange !== undefined || now - this.#waitsSince < quietMs;
  }

  /** Takes a request whose head has come. */
  accept(request: IncomingMessage, response: ServerResponse): void {
    if (this.#closing !== undefined) {
      request.resume();
      return;
    }
    if (this.#exchange === undefined) {
      void this.#serve({ request, response });
      return;
    }
    this.#waiting.push({ request, response });
    // Nothing further is read until this one has run.
    this.#socket.pause();
    if (this.#waiting.length > MAX_PIPELINED) this.destroy();
  }

  /** Answers bytes that are not HTTP, or a head that is too long. */
  refuse(code: number, text: string): void {
    if (this.#closing !== undefined) return;
    if (this.#exchange?.isComplete === true) {
      // HTTP-1: the answers of the requests before come first.
      this.#socket.pause();
      this.#refusal = { code, text };
      return;
    }
    if (this.#exchange !== undefined && !this.#exchange.isAnswering) {
      // The error is about its body, which will never be whole.
      void this.#exchange.answer(errorAnswer(code, text));
      return;
    }
    if (this.#exchange !== undefined || !this.#socket.writable) {
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
    if (this.#exchange === undefined && this.#closing === undefined) this.#close(0);
  }

  /** Answers the request that is under way with an error, unless it is being answered. */
  abandon(): void {
    const text = 'the server ended before it could answer this: try another replica';
    void this.#exchange?.answer(answerOf(new InferError('draining', text, { pushback: 0 })));
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** To be called about once a second. */
  upkeep(now: number): void {
    if (this.#closing !== undefined) this.#linger(this.#closing, now);
    else if (this.#exchange !== undefined) this.#exchange.upkeep(now);
    else if (!this.#isKnown) this.#awaitHead(this.#waitsSince, now);
    else if (this.#socket.bytesRead > this.#bytesBefore) {
      this.#headSince ??= now;
      this.#awaitHead(this.#headSince, now);
    } else if (now - this.#waitsSince > this.#host.limits.keepAliveMs) this.#close(0);
  }

  async #serve(first: Waiting): Promise<void> {
    for (let next: Waiting | undefined = first; next !== undefined; next = this.#waiting.shift()) {
      this.#waitsSince = performance.now();
      this.#exchange = new HttpExchange(this.#host, next.request, next.response, this.#wayBack);
      await this.#host.serve(this.#exchange, this);
      if (this.#closing !== undefined) this.#waiting.length = 0;
    }
    this.#exchange = undefined;
    this.#isKnown = true;
    this.#waitsSince = performance.now();
    this.#bytesBefore = this.#socket.bytesRead;
    this.#headSince = undefined;
    if (this.#socket.isPaused()) this.#socket.resume();
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
