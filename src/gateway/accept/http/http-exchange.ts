/**
 * One request and its answer.
 *
 *   body ──▶ work ──▶ answer        a request may be answered before its body has come; then its connection ends
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { WayBack } from '../../../http2/way-back.ts';
import { InferError } from '../../errors.ts';
import { diagnostics } from '../../ops/diagnostics.ts';
import type { HttpLimits } from '../../ops/http-limits.ts';
import { Pace } from '../pace.ts';
import { restError } from '../rest/rest-error.ts';
import { AnswerWriter } from './answer-writer.ts';
import { errorAnswer, type HttpAnswer, type HttpHandler, type RestHandler } from './http-answer.ts';
import { limitReached } from './limit-events.ts';
import type { UnreadAnswers } from './unread-answers.ts';

export interface ExchangeHost extends Pick<RestHandler, 'changesNothing'> {
  readonly limits: HttpLimits;
  readonly unread: UnreadAnswers;
  /** Paths of REST besides the usual. */
  readonly restPaths: ReadonlySet<string>;
  /** The server ends: every answer says `connection: close`. */
  readonly isEnding: boolean;
}

/** The connection of an exchange. */
export interface ExchangeConnection {
  readonly wayBack: WayBack;
  /** Whether nothing is answered after it: the server ends, or no more requests are taken. */
  isLast(exchange: HttpExchange): boolean;
}

/** Paths of KServe, of OpenAI's and other clients of text models, and of SageMaker. */
const REST_PATH = /^\/(v[12]|(de)?tokenize|ping|invocations)([/?]|$)/;

const NO_FIELDS = {};
const CLOSING = { connection: 'close' };

export class HttpExchange {
  readonly isRest: boolean;
  readonly #host: ExchangeHost;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #connection: ExchangeConnection;
  #changesNothing: boolean | undefined;
  #endsConnection = false;
  #bodyPace: Pace | undefined;
  #writer: AnswerWriter | undefined;

  constructor(host: ExchangeHost, connection: ExchangeConnection, request: IncomingMessage, response: ServerResponse) {
    request.url = originForm(request.url ?? '');
    this.isRest = REST_PATH.test(request.url) || host.restPaths.has(request.url.split('?', 1)[0] ?? '');
    this.#host = host;
    this.#request = request;
    this.#response = response;
    this.#connection = connection;
  }

  /** Asked only where requests are pipelined. */
  get changesNothing(): boolean {
    this.#changesNothing ??= this.isRest && this.#host.changesNothing(this.#request);
    return this.#changesNothing;
  }

  /** Its answer says that it is the last one of its connection. */
  get endsConnection(): boolean {
    return this.#endsConnection;
  }

  /** The client is taking the answer. */
  get isAnswering(): boolean {
    return this.#writer !== undefined;
  }

  /** Bytes of the answer that the client is taking, or has taken. */
  get answerBytes(): number {
    return this.#writer?.bytes ?? 0;
  }

  /** Its body has come whole, so that nothing of it depends on what the client still sends. */
  get isComplete(): boolean {
    return this.#request.complete;
  }

  /**
   * Resolves when the answer has been taken, or the connection has ended. Never rejects.
   * @param onEnd is called then
   */
  async run(handler: HttpHandler, onEnd?: () => void): Promise<void> {
    const request = this.#request;
    try {
      // A client that asked whether a body is welcome learns it only now: a refused request has come without its body.
      if (request.headers.expect !== undefined && request.httpVersion === '1.1') this.#response.writeContinue();
      await this.answer(await handler(request, this.#response, this.#connection.wayBack));
    } catch (cause) {
      const text = `${request.method} ${request.url} failed`;
      diagnostics.notice.publish({ level: 'error', text, cause });
      request.socket.destroy();
    } finally {
      onEnd?.();
    }
  }

  /**
   * It is never begun. What still comes of its body is read on: a client that finds its socket full would not look for answers.
   * Node keeps the request as long as its connection, so its head and trailers are emptied.
   */
  drop(): void {
    const request = this.#request;
    request.rawHeaders = [];
    request.headers = {};
    request.url = '';
    request.once('end', () => {
      request.rawTrailers = [];
      request.trailers = {};
    });
    request.resume();
  }

  /** Its connection has ended. Node says so only of the response whose turn it is. */
  lose(): void {
    const response = this.#response;
    if (response.socket !== null) return;
    response.destroy();
    response.emit('close');
  }

  /** Does nothing where an answer is under way already. Resolves when it has been taken, or the connection has ended. */
  answer(answer: HttpAnswer): Promise<void> {
    const response = this.#response;
    if (this.#writer !== undefined || response.destroyed || response.headersSent) return Promise.resolve();
    const { limits, unread } = this.#host;
    const writerOf = (each: HttpAnswer): AnswerWriter => new AnswerWriter(response, this.#request.socket, each, limits);
    const whole = writerOf(answer);
    const refusal = this.#refusalOf(whole);
    const writer = refusal === undefined ? whole : writerOf(answerOf(refusal));
    this.#writer = writer;
    // The rest of a body may still arrive: the connection ends rather than carry it.
    const ends = this.#connection.isLast(this) || !this.#request.complete;
    this.#endsConnection = ends || answer.headers['connection'] === 'close';
    if (!this.#request.complete) this.#discardBody();
    const startedAt = performance.now();
    const isItsTurn = response.socket !== null;
    response.once('close', () => {
      unread.remove(writer);
      if (writer === whole && response.writableFinished) answer.memory?.giveBack();
      // HTTP/1 has no PING: of the way only the socket is seen.
      if (isItsTurn) this.#connection.wayBack.observe(performance.now() - startedAt);
    });
    return writer.write(ends ? CLOSING : NO_FIELDS);
  }

  /** Reads it on, for no one: a client that finds its socket full would not look for the answer. */
  #discardBody(): void {
    const request = this.#request;
    request
      .removeAllListeners('data')
      .on('data', () => {})
      .resume();
    // Node forgets a request that is answered, and a reader of its body would wait for ever.
    request.socket.once('close', () => request.destroy());
  }

  /** Why an answer cannot be held while it is taken; `undefined`: it has its room. */
  #refusalOf(writer: AnswerWriter): InferError | undefined {
    const { limits, unread } = this.#host;
    if (writer.bytes > limits.maxUnreadBytes) {
      limitReached('maxUnreadBytes');
      const text = `the answer has ${writer.bytes} bytes, more than ${limits.maxUnreadBytes} (httpMaxUnreadBytes)`;
      return new InferError('limit_exceeded', text);
    }
    if (unread.add(writer, performance.now())) return undefined;
    const text = `clients are taking answers of ${unread.bytes} bytes (httpMaxUnreadBytesInAll): try again`;
    return new InferError('queue_full', text, { pushback: 1_000 });
  }

  /** To be called about once a second. */
  upkeep(now: number): void {
    const { complete, readableLength, readableHighWaterMark, socket } = this.#request;
    if (this.#writer !== undefined) {
      this.#writer.upkeep(now);
      return;
    }
    if (complete) return;
    const { bodyGraceMs, minBytesPerSecond } = this.#host.limits;
    // Not before: most requests are answered before anyone looks.
    this.#bodyPace ??= new Pace({ graceMs: bodyGraceMs, minBytesPerSecond }, socket.bytesRead, now);
    // The received bytes wait for us.
    if (readableLength >= readableHighWaterMark) this.#bodyPace.excuse(now);
    else if (this.#bodyPace.isLate(socket.bytesRead, now)) {
      limitReached('bodyGraceMs');
      const text = `the body came slower than ${minBytesPerSecond} bytes a second for ${bodyGraceMs} ms (httpMinBytesPerSecond, httpBodyGraceMs)`;
      void this.answer(errorAnswer(408, text));
    }
  }
}

/** How a refusal of the port itself is answered over REST. */
export function answerOf(error: InferError): HttpAnswer {
  const { code, body, headers } = restError(error);
  return { code, headers: { 'content-type': 'application/json', ...headers }, chunks: [Buffer.from(body)] };
}

/** RFC 9112, section 3.2.2: a client may name the server in the request line, as it does for a proxy. */
function originForm(target: string): string {
  if (target.startsWith('/')) return target;
  const [authority] = /^https?:\/\/[^/?#]*/i.exec(target) ?? [];
  if (authority === undefined) return target;
  const rest = target.slice(authority.length);
  return rest.startsWith('/') ? rest : `/${rest}`;
}
