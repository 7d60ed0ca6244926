/** A gRPC call on a stream: what unary and streaming ones have in common. */

import { type Claim, claimOf } from '../../../http2/byte-budget.ts';
import { ErrorCode } from '../../../http2/error-code.ts';
import type { Exchange } from '../../../http2/exchange.ts';
import type { Http2Limits } from '../../../http2/limits.ts';
import type { Peer } from '../../../http2/peer.ts';
import { StreamState } from '../../../http2/stream-state.ts';
import { boundedText, InferError, type Reason, Status, type StatusCode } from '../../errors.ts';
import { diagnostics } from '../../ops/diagnostics.ts';
import type { Call, CancelReason, Trailers } from '../call.ts';
import { type CallEnd, publishEnd, publishStart, SUCCESS } from '../call-events.ts';
import { failWith } from '../failure.ts';
import type { MessageLimit } from '../message-limit.ts';
import { patienceAfter } from '../pace.ts';
import { type AnswerEnd, objection } from './answer-headers.ts';
import type { CallHead } from './call-head.ts';
import { type DeadlineWheel, Expiring } from './deadline-wheel.ts';
import type { GrpcStream } from './grpc-stream.ts';
import type { Encoding, Inflated, Inflater } from './inflater.ts';
import { LateRefusal } from './late-refusal.ts';
import { limitReached } from './limit-events.ts';
import { prefixOf } from './message-prefix.ts';
import { MessageReader, type MessageSink } from './message-reader.ts';
import { noRoom } from './no-room.ts';

/** Dependencies that all calls of a transport share. */
export interface CallTools {
  readonly deadlines: DeadlineWheel;
  readonly inflater: Inflater;
  readonly limits: Pick<Http2Limits, 'messageGraceMs' | 'minBytesPerSecond'>;
}

export interface CallStart {
  /** Bytes taken from the budget of incoming bytes; see `costOf`. */
  readonly heldBytes: number;
  readonly path: string;
  readonly messageLimit: MessageLimit;
  readonly head: CallHead;
  readonly encoding: Encoding;
  readonly startedAt: number;
  readonly deadline: number;
}

/** Memory charged for a call besides metadata and messages: its objects, its stream's, and its method's. */
const CALL_BYTES = 2 * 1024;

/** Bytes of the client that a call holds from its headers until its end. */
export function costOf(head: CallHead): number {
  return CALL_BYTES + head.byteLength;
}

/** By so much may a client's clock be ahead of ours: the way of the request, and a tick of the wheel. */
const CLOCK_LEAD_MS = 10;

/** Minimum age of a call whose client measures time at all. */
const MIN_AGE_MS = 1;
/** Calls with so short a deadline expire in numbers when a server is slow. */
const BRIEF_MS = 1_000;
const BRIEF_COST = 0.1;

function expired(): InferError {
  return new InferError('deadline_exceeded', 'the deadline passed before the answer');
}

export abstract class Http2Call extends Expiring implements Call, Exchange, MessageSink {
  onCancel: ((reason: CancelReason) => void) | undefined = undefined;
  protected readonly http2: GrpcStream;
  protected readonly reader: MessageReader;
  readonly #start: CallStart;
  readonly #tools: CallTools;
  #heldBytes: number;
  /** `undefined` until first read. */
  #receivedBefore: number | undefined = undefined;
  #patienceMs: number;
  /** It ends for what its head, or the prefix of its message, says. */
  #refusing = false;
  #started = false;
  #ended = false;
  #cancelled = false;

  constructor(stream: GrpcStream, start: CallStart, tools: CallTools) {
    super();
    this.http2 = stream;
    this.#start = start;
    this.#tools = tools;
    this.#heldBytes = start.heldBytes;
    this.#patienceMs = tools.limits.messageGraceMs;
    this.reader = new MessageReader(this, stream, start.messageLimit, start.encoding !== 'identity');
    stream.exchange = this;
    tools.deadlines.add(this);
  }

  get path(): string {
    return this.#start.path;
  }

  get deadline(): number {
    return this.#start.deadline;
  }

  get namesDeadline(): boolean {
    return this.#start.head.timeoutMs !== Number.POSITIVE_INFINITY;
  }

  get wayBackMs(): number {
    return this.http2.wayBackMs;
  }

  get cancelled(): boolean {
    return this.#cancelled;
  }

  get peer(): Peer {
    return this.http2.peer;
  }

  get(name: string): string | Uint8Array | undefined {
    return this.#start.head.metadata(name);
  }

  keys(): Iterable<string> {
    return this.#start.head.keys();
  }

  fail(code: StatusCode, text: string, trailers?: Trailers, failure?: InferError): void {
    if (this.#ended || !this.#canSend(trailers)) return;
    const bounded = boundedText(text);
    const end = { code, text: bounded, trailers, pushback: failure?.pushback, failure };
    this.#conclude(end);
    if (this.#isLate(failure)) this.#refuseLate(end);
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

  get heldBytes(): number {
    return this.#heldBytes + this.reader.heldBytes;
  }

  get patienceMs(): number {
    return this.isAwaited ? this.#patienceMs : Number.POSITIVE_INFINITY;
  }

  look(elapsedMs: number): void {
    const { received, maySend } = this.http2;
    const bytes = received - (this.#receivedBefore ?? received);
    const isFirst = this.#receivedBefore === undefined;
    this.#receivedBefore = received;
    if (!this.isAwaited) {
      this.#patienceMs = this.#tools.limits.messageGraceMs;
    } else if (maySend && !isFirst) {
      // Where the peer may not send, it is we who do not let the rest come.
      const { messageGraceMs: graceMs, minBytesPerSecond } = this.#tools.limits;
      this.#patienceMs = patienceAfter(this.#patienceMs, { bytes, elapsedMs }, { graceMs, minBytesPerSecond });
      if (this.#patienceMs <= 0) this.#late();
    }
  }

  evict(): void {
    if (!this.#ended) this.failWith(noRoom());
  }

  readonly isWork = true;

  /** A client resets what has expired by its own clock, which may be while we have not even read the call. */
  get resetCost(): number {
    const { startedAt, deadline } = this.#start;
    const ageMs = performance.now() - startedAt;
    const timeoutMs = deadline - startedAt;
    if (ageMs >= MIN_AGE_MS && ageMs >= timeoutMs - CLOCK_LEAD_MS) return 0;
    return timeoutMs <= BRIEF_MS ? BRIEF_COST : 1;
  }

  abstract takeMessage(message: Buffer, isCompressed: boolean, heldBytes: number): void;
  abstract receiveEnd(): void;
  abstract wanted(window: number): number;
  abstract drained(): void;

  abandon(): void {
    if (this.#ended) return;
    const failure = new InferError('draining', 'the server ended before it could answer');
    this.#cancel('connection', failure, true);
  }

  over(reason: CancelReason | undefined): void {
    this.#tools.deadlines.remove(this);
    this.release();
    if (this.#ended) return;
    // A client resets what its own clock has ended: that began a little before ours, and is no change of mind.
    if (reason === 'client' && performance.now() >= this.deadline - CLOCK_LEAD_MS) {
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

  /** The peer has begun what only it can end. */
  protected abstract readonly isAwaited: boolean;

  protected get ended(): boolean {
    return this.#ended;
  }

  /** The method has received the call. */
  protected get isStarted(): boolean {
    return this.#started;
  }

  /** Frees the memory charged for the request. */
  protected release(): void {
    this.reader.close();
    this.letGo(this.#heldBytes);
  }

  /**
   * Counts bytes of the request that are complete, and wait.
   * @throws InferError queue_full
   */
  protected hold(bytes: number, claim: Claim): void {
    if (!this.http2.tryTake(bytes, claim)) throw noRoom();
    this.#heldBytes += bytes;
  }

  /** Takes over memory that the reader has charged. */
  protected keep(bytes: number): void {
    this.#heldBytes += bytes;
  }

  protected letGo(bytes: number): void {
    this.http2.give(bytes);
    this.#heldBytes -= bytes;
  }

  protected start(): void {
    this.#begun();
    try {
      this.run();
    } catch (thrown) {
      this.#failHandler(thrown);
    }
  }

  protected abstract run(): void;

  /** Runs a handler: what it throws ends this call, and nothing else (CALL-3). */
  protected guard(handler: () => void): void {
    try {
      handler();
    } catch (thrown) {
      this.#failHandler(thrown);
    }
  }

  protected failWith(thrown: unknown): void {
    failWith(this, InferError.from(thrown));
  }

  /**
   * Sends one message; nothing of a call that has ended.
   * @returns whether it was sent; where not, the call has ended
   */
  protected send(chunks: readonly Uint8Array[]): boolean {
    let byteLength = 0;
    for (const chunk of chunks) byteLength += chunk.byteLength;
    if (this.#ended) return false;
    if (byteLength > MAX_MESSAGE_BYTES) {
      this.failWith(
        new InferError('limit_exceeded', `the answer has ${byteLength} bytes, more than a message can have`),
      );
    } else if (!this.http2.send(prefixOf(byteLength), chunks, byteLength)) {
      this.failWith(new InferError('limit_exceeded', 'the client leaves too many answers unread'));
    }
    return !this.#ended;
  }

  protected succeed(trailers: Trailers | undefined): void {
    if (this.#ended || !this.#canSend(trailers)) return;
    this.#conclude(SUCCESS);
    this.http2.sendEnd(trailers === undefined ? OK : { code: Status.OK, text: '', trailers });
  }

  /** Inflates a message under the limit, and holds what it becomes; `done` is not called once the call has ended. */
  protected inflate(message: Buffer, done: Inflated): (() => void) | undefined {
    const { encoding, messageLimit } = this.#start;
    if (encoding === 'identity') return undefined;
    const hold = (bytes: number, total: number): void => this.hold(bytes, claimOf(total));
    const terms = { owner: this.http2.peer, limit: messageLimit, hold };
    return this.#tools.inflater.inflate(message, encoding, terms, done);
  }

  #begun(): void {
    this.#started = true;
    publishStart(this);
  }

  #failHandler(thrown: unknown): void {
    diagnostics.notice.publish({ level: 'error', text: `the handler of ${this.path} threw`, cause: thrown });
    this.failWith(thrown);
  }

  #late(): void {
    limitReached('minBytesPerSecond');
    const { minBytesPerSecond, messageGraceMs } = this.#tools.limits;
    const text = `the request is not complete and stands still: fewer than ${minBytesPerSecond} bytes came per second (http2MinBytesPerSecond) for ${messageGraceMs} ms (http2MessageGraceMs)`;
    this.failWith(new InferError('limit_exceeded', text));
  }

  /** Trailers that cannot be sent are a fault of ours: the call fails without them. */
  #canSend(trailers: Trailers | undefined): boolean {
    const why = trailers === undefined ? undefined : objection(trailers);
    if (why === undefined) return true;
    diagnostics.notice.publish({ level: 'error', text: `the answer of ${this.path} cannot be sent: ${why}` });
    this.failWith(new InferError('internal', 'internal error', { cause: new TypeError(why) }));
    return false;
  }

  #conclude(end: CallEnd): void {
    this.#ended = true;
    this.release();
    if (this.#started) publishEnd(this, end, this.#start.startedAt);
  }

  /** Whether the answer waits until the rest of the request has come. One that says when to try again never does. */
  #isLate(failure: InferError | undefined): boolean {
    const { state, headSent } = this.http2;
    return (
      this.#refusing && state === StreamState.OPEN && !headSent && failure !== undefined && LASTING.has(failure.reason)
    );
  }

  #refuseLate(end: AnswerEnd): void {
    const { deadlines } = this.#tools;
    deadlines.remove(this);
    new LateRefusal(this.http2, end, deadlines);
  }

  /** Only for a call that has not ended (CALL-2). */
  #cancel(reason: CancelReason, failure: InferError, notifiesCaller: boolean): void {
    this.#conclude({ code: failure.status, text: failure.message, failure });
    this.#cancelled = true;
    if (notifiesCaller) this.#notifyCaller(failure);
    this.guard(() => this.onCancel?.(reason));
  }

  /** Messages that the peer does not take would stand before the status for ever. */
  #notifyCaller({ status, message }: InferError): void {
    if (this.http2.unsentBytes > 0) this.http2.reset(ErrorCode.CANCEL);
    else this.http2.sendEnd({ code: status, text: message });
  }
}

/** Reasons for which the same request would fail again. */
const LASTING: ReadonlySet<Reason> = new Set<Reason>([
  'limit_exceeded',
  'permission_denied',
  'control_disabled',
  'unimplemented',
]);

const OK = { code: Status.OK, text: '' } as const;
/** The prefix has 32 bits for the length. */
const MAX_MESSAGE_BYTES = 2 ** 32 - 1;
