/** Maps the head of a request to its method (grpc/grpc: doc/PROTOCOL-HTTP2.md, "Requests"). */

import { Claim } from '../../../http2/byte-budget.ts';
import type { Exchange } from '../../../http2/exchange.ts';
import type { Protocol } from '../../../http2/protocol.ts';
import { boundedText, InferError, Status } from '../../errors.ts';
import type { Landing } from '../../landing/landing.ts';
import { type Method, type Routes, screened, type TransportOptions } from '../call.ts';
import { MessageLimit } from '../message-limit.ts';
import { AnswerHeaders } from './answer-headers.ts';
import { CALL_HEADS, type CallHead } from './call-head.ts';
import { type CallTerms, type CallTools, costOf } from './call-terms.ts';
import { DeadlineWheel } from './deadline-wheel.ts';
import { GrpcRefusal } from './grpc-refusal.ts';
import type { GrpcStream } from './grpc-stream.ts';
import { HttpRefusal } from './http-refusal.ts';
import { Http2StreamingCall } from './http2-streaming-call.ts';
import { Http2UnaryCall } from './http2-unary-call.ts';
import { ACCEPTED_ENCODINGS, encodingOf, Inflater } from './inflater.ts';
import { LateRefusal } from './late-refusal.ts';
import { limitReached } from './limit-events.ts';
import { noRoom } from './no-room.ts';

/** `application/grpc`, with a subtype of any message format or a parameter; `application/grpc-web` is another protocol. */
const GRPC = /^application\/grpc([+;]|$)/;
/** Longest part of the client's path in the text of an answer. */
const MAX_PATH = 128;

const METHOD_NOT_ALLOWED = 405;
const UNSUPPORTED_MEDIA_TYPE = 415;

export type ServiceOptions = Pick<TransportOptions, 'maxMessageBytes' | 'defaultDeadlineMs' | 'maxDeadlineMs'>;

/** A method, and the limit of its messages. */
interface Route {
  readonly method: Method;
  readonly messageLimit: MessageLimit;
}

export class GrpcService implements Protocol {
  readonly fieldKinds = CALL_HEADS.fieldKinds;
  readonly requestHead = CALL_HEADS.requestHead;
  readonly #routes = new Map<string, Route>();
  readonly #options: ServiceOptions;
  readonly #tools: CallTools;

  /** @param landing for the tensors of large inference requests */
  constructor(routes: Routes, options: ServiceOptions, limits: CallTools['limits'], landing?: Landing) {
    for (const [path, method] of routes) {
      this.#routes.set(path, { method, messageLimit: new MessageLimit(path, method, options.maxMessageBytes) });
    }
    this.#options = options;
    this.#tools = {
      deadlines: new DeadlineWheel(),
      inflater: new Inflater(),
      landing,
      limits,
    };
  }

  /** How many calls have a deadline to come. */
  get pendingDeadlines(): number {
    return this.#tools.deadlines.size;
  }

  responseHeaders(): AnswerHeaders {
    return new AnswerHeaders();
  }

  refuse(stream: GrpcStream): void {
    new GrpcRefusal(stream, tooManyResets());
  }

  open(stream: GrpcStream, head: CallHead): Exchange {
    if (head.tooLarge) {
      limitReached('maxHeaderListBytes');
      return new GrpcRefusal(stream, new InferError('limit_exceeded', 'the metadata is larger than the limit'));
    }
    if (head.method !== 'POST') return this.#refuseHttp(stream, METHOD_NOT_ALLOWED);
    if (!GRPC.test(head.contentType ?? '')) return this.#refuseHttp(stream, UNSUPPORTED_MEDIA_TYPE);
    return this.#openCall(stream, head);
  }

  #refuseHttp(stream: GrpcStream, httpStatus: number): Exchange {
    const deadline = performance.now() + this.#options.defaultDeadlineMs;
    return new HttpRefusal(stream, httpStatus, deadline, this.#tools.deadlines);
  }

  #openCall(stream: GrpcStream, head: CallHead): Exchange {
    const { path = '', timeoutMs } = head;
    const route = this.#routes.get(path);
    if (route === undefined) {
      const text = boundedText(`unknown method ${path.slice(0, MAX_PATH)}`);
      return new LateRefusal(stream, { code: Status.UNIMPLEMENTED, text }, this.#tools.deadlines);
    }
    if (timeoutMs === undefined) {
      const text = 'grpc-timeout is malformed: at most eight digits and one of H, M, S, m, u, n are expected';
      return new GrpcRefusal(stream, new InferError('malformed_message', text));
    }
    const encoding = encodingOf(head.encoding);
    if (encoding === undefined) {
      // grpc/grpc: doc/compression.md, "Test cases" 2: the client learns what it may use.
      const failure = new InferError('unimplemented', `the server takes messages that are ${ACCEPTED_ENCODINGS}`);
      return new GrpcRefusal(stream, failure, { 'grpc-accept-encoding': ACCEPTED_ENCODINGS });
    }
    const heldBytes = costOf(head);
    if (!stream.tryTake(heldBytes, Claim.SMALL)) return new GrpcRefusal(stream, noRoom());
    const { method, messageLimit } = route;
    const startedAt = performance.now();
    const deadline = startedAt + this.#timeLeft(method, timeoutMs);
    const landsTensors = method.landsTensors === true;
    return this.#start(stream, method, {
      heldBytes,
      path,
      messageLimit,
      landsTensors,
      head,
      encoding,
      startedAt,
      deadline,
    });
  }

  #timeLeft(method: Method, timeoutMs: number): number {
    if (method.kind === 'streaming') return timeoutMs;
    const { defaultDeadlineMs, maxDeadlineMs } = this.#options;
    return Math.min(timeoutMs === Number.POSITIVE_INFINITY ? defaultDeadlineMs : timeoutMs, maxDeadlineMs);
  }

  #start(stream: GrpcStream, method: Method, terms: CallTerms): Exchange {
    const call =
      method.kind === 'unary'
        ? new Http2UnaryCall(stream, terms, this.#tools, method)
        : new Http2StreamingCall(stream, terms, this.#tools, method);
    const refusal = screened(call, method);
    if (refusal === undefined) call.begin();
    else call.refuse(refusal);
    return call;
  }
}

/** A second earns back what a connection has overdrawn. */
const RESETS_PUSHBACK_MS = 1_000;

function tooManyResets(): InferError {
  const text = 'this connection resets calls faster than it may (http2ResetBurst, http2ResetsPerSecond)';
  return new InferError('rate_limited', text, { pushback: RESETS_PUSHBACK_MS });
}
