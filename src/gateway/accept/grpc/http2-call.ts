/** A gRPC call on a stream: what unary and streaming ones have in common. */

import { ErrorCode } from '../../../http2/error-code.ts';
import type { Exchange } from '../../../http2/exchange.ts';
import type { LentMemory } from '../../../http2/lent-memory.ts';
import { boundedText, InferError, Status, type StatusCode } from '../../errors.ts';
import { diagnostics } from '../../ops/diagnostics.ts';
import type { Call, CancelReason, Trailers } from '../call.ts';
import { type CallEnd, publishEnd, publishStart, SUCCESS } from '../call-events.ts';
import { failHandler, failWith } from '../failure.ts';
import { type AnswerEnd, objection } from './answer-headers.ts';
import { type CallTerms, type CallTools, mayHaveExpired, resetCostOf } from './call-terms.ts';
import type { GrpcStream } from './grpc-stream.ts';
import { Http2Request } from './http2-request.ts';
import { isRefusedLate, LateRefusal } from './late-refusal.ts';
import { prefixOf } from './message-prefix.ts';
import { noRoom } from './no-room.ts';

function expired(): InferError {
  return new InferError('deadline_exceeded', 'the deadline passed before the answer');
}

/** Learns how a call ended, in every case: a call that is forwarded to another thread needs that. */
export interface CallObserver {
  /** @param reason only for a call that was cancelled. */
  concluded(end: CallEnd, reason: CancelReason | undefined): void;
}

export abstract class Http2Call extends Http2Request implements Call, Exchange {
  onCancel: ((reason: CancelReason) => void) | undefined = undefined;
  observer: CallObserver | undefined = undefined;
  /** It ends for what its head, or the prefix of its message, says. */
  #refusing = false;
  #started = false;
  #ended = false;
  #cancelled = false;

  constructor(stream: GrpcStream, terms: CallTerms, tools: CallTools) {
    super(stream, terms, tools);
    stream.exchange = this;
    tools.deadlines.add(this);
  }

  get wayBackMs(): number {
    return this.http2.wayBackMs;
  }

  get cancelled(): boolean {
    return this.#cancelled;
  }

  /** The method has received the call, or it is refused before that. */
  get isStarted(): boolean {
    return this.#started;
  }

  fail(code: StatusCode, text: string, trailers?: Trailers, failure?: InferError): void {
    if (this.#ended || !this.#canSend(trailers)) return;
    const bounded = boundedText(text);
    const end = { code, text: bounded, trailers, failure };
    this.#conclude(end);
    if (this.#refusing && isRefusedLate(this.http2, failure)) this.#refuseLate(end);
    else this.http2.sendEnd(end);
  }

  /** To be called where the head lets the call in. */
  abstract begin(): void;

  /** Ends the call before its method sees it. */
  refuse(failure: InferError): void {
    this.#refusing = true;
    this.#begun();
    failWith(this, failure);
  }

  // As the stream's exchange.

  receive(chunk: Buffer, from: number, to: number): void {
    if (this.#ended) return;
    try {
      this.reader.read(chunk, from, to);
    } catch (thrown) {
      this.#refusing = true;
      this.failWith(thrown);
    }
  }

  get isInside(): boolean {
    return this.#ended || this.reader.isInside;
  }

  evict(): void {
    if (!this.#ended) this.failWith(noRoom());
  }

  readonly isWork = true;

  get resetCost(): number {
    return resetCostOf(this.terms, performance.now());
  }

  abstract receiveEnd(): void;
  abstract wanted(window: number): number;
  abstract drained(): void;

  abandon(): void {
    if (this.#ended) return;
    const failure = new InferError('draining', 'the server ended before it could answer');
    this.#cancel('connection', failure, true);
  }

  over(reason: CancelReason | undefined): void {
    this.tools.deadlines.remove(this);
    this.release();
    if (this.#ended) return;
    // A client resets what its own clock has ended: that is no change of mind.
    if (reason === 'client' && mayHaveExpired(this.terms, performance.now())) {
      this.#cancel('deadline', expired(), false);
    } else {
      this.#cancel(reason ?? 'client', new InferError('cancelled', 'the caller cancelled the call'), false);
    }
  }

  override expire(): void {
    if (this.#ended) {
      // The answer is there, and the peer does not take it.
      this.http2.reset(ErrorCode.CANCEL);
      return;
    }
    this.#cancel('deadline', expired(), true);
  }

  // For its kinds.

  protected get ended(): boolean {
    return this.#ended;
  }

  protected start(): void {
    this.#begun();
    try {
      this.run();
    } catch (thrown) {
      failHandler(this, thrown);
    }
  }

  protected abstract run(): void;

  /** Runs a handler: what it throws ends this call, and nothing else (CALL-3). */
  protected guard(handler: () => void): void {
    try {
      handler();
    } catch (thrown) {
      failHandler(this, thrown);
    }
  }

  protected override failWith(thrown: unknown): void {
    failWith(this, InferError.from(thrown));
  }

  /**
   * Sends one message; nothing of a call that has ended.
   * @param memory what `chunks` are views of, where it can be used again
   * @returns whether it was sent; where not, the call has ended
   */
  protected send(chunks: readonly Uint8Array[], memory?: LentMemory): boolean {
    let byteLength = 0;
    for (const chunk of chunks) byteLength += chunk.byteLength;
    if (this.#ended) return false;
    if (byteLength > MAX_MESSAGE_BYTES) {
      this.failWith(
        new InferError('limit_exceeded', `the answer has ${byteLength} bytes, more than a message can have`),
      );
    } else if (!this.http2.send(prefixOf(byteLength), chunks, byteLength, memory)) {
      this.failWith(new InferError('limit_exceeded', 'the client leaves too many answers unread'));
    }
    return !this.#ended;
  }

  protected succeed(trailers: Trailers | undefined): void {
    if (this.#ended || !this.#canSend(trailers)) return;
    this.#conclude(SUCCESS);
    this.http2.sendEnd(trailers === undefined ? OK : { code: Status.OK, text: '', trailers });
  }

  #begun(): void {
    this.#started = true;
    publishStart(this);
  }

  /** Trailers that cannot be sent are a fault of ours: the call fails without them. */
  #canSend(trailers: Trailers | undefined): boolean {
    const why = trailers === undefined ? undefined : objection(trailers);
    if (why === undefined) return true;
    diagnostics.notice.publish({ level: 'error', text: `the answer of ${this.path} cannot be sent: ${why}` });
    this.failWith(new InferError('internal', 'internal error', { cause: new TypeError(why) }));
    return false;
  }

  #conclude(end: CallEnd, reason?: CancelReason): void {
    this.#ended = true;
    this.release();
    if (this.#started) publishEnd(this, end, this.terms.startedAt);
    this.observer?.concluded(end, reason);
  }

  #refuseLate(end: AnswerEnd): void {
    const { deadlines } = this.tools;
    deadlines.remove(this);
    new LateRefusal(this.http2, end, deadlines);
  }

  /** Only for a call that has not ended (CALL-2). */
  #cancel(reason: CancelReason, failure: InferError, notifiesCaller: boolean): void {
    this.#conclude({ code: failure.status, text: failure.message, failure }, reason);
    this.#cancelled = true;
    if (notifiesCaller) this.#notifyCaller(failure);
    this.guard(() => this.onCancel?.(reason));
  }

  /** Messages that the peer does not take would stand before the status for ever. */
  #notifyCaller(failure: InferError): void {
    if (this.http2.unsentBytes > 0) this.http2.reset(ErrorCode.CANCEL);
    else this.http2.sendEnd({ code: failure.status, text: failure.message, failure });
  }
}

const OK = { code: Status.OK, text: '' } as const;
/** The prefix has 32 bits for the length. */
const MAX_MESSAGE_BYTES = 2 ** 32 - 1;
