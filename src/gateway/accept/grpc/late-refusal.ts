import { Claim } from '../../../http2/byte-budget.ts';
import type { Exchange } from '../../../http2/exchange.ts';
import { StreamState } from '../../../http2/stream-state.ts';
import type { InferError, Reason } from '../../errors.ts';
import type { AnswerEnd } from './answer-headers.ts';
import { type DeadlineWheel, Expiring } from './deadline-wheel.ts';
import type { GrpcStream } from './grpc-stream.ts';

/** A peer that sends nothing for so long waits for the answer. */
const PAUSE_MS = 50;
/** The answer goes out after this time, or after this many bytes, whichever comes first. */
const MAX_WAIT_MS = 2_000;
const MAX_BYTES = 128 * 1024 * 1024;
/** Memory charged for a refusal until it is over: its objects and its stream's. */
const REFUSAL_BYTES = 2 * 1024;

/** Reasons for which the same request would fail again. */
const LASTING: ReadonlySet<Reason> = new Set<Reason>([
  'limit_exceeded',
  'permission_denied',
  'control_disabled',
  'unimplemented',
]);

/** Whether a refusal waits until the rest of the request has come. One that says when to try again never does. */
export function isRefusedLate({ state, headSent }: GrpcStream, failure: InferError | undefined): boolean {
  return state === StreamState.OPEN && !headSent && failure !== undefined && LASTING.has(failure.reason);
}

/**
 * The answer to a call that is refused for good while its request still comes. What comes is dropped, and the answer goes out
 * behind it: Node's HTTP/2 client refuses the head of an answer while 10 MB of its own wait to be sent, and then hangs.
 */
export class LateRefusal extends Expiring implements Exchange {
  readonly isWork = false;
  readonly resetCost = 1;
  readonly patienceMs = Number.POSITIVE_INFINITY;
  readonly isInside = true;
  readonly #stream: GrpcStream;
  readonly #end: AnswerEnd;
  readonly #deadlines: DeadlineWheel;
  readonly #begunAt = performance.now();
  #deadline = this.#begunAt + PAUSE_MS;
  #receivedBefore: number;
  #bytesLeft = MAX_BYTES;
  #heldBytes = 0;
  #answered = false;

  constructor(stream: GrpcStream, end: AnswerEnd, deadlines: DeadlineWheel) {
    super();
    this.#stream = stream;
    this.#end = end;
    this.#deadlines = deadlines;
    this.#receivedBefore = stream.received;
    stream.exchange = this;
    if (stream.tryTake(REFUSAL_BYTES, Claim.SMALL)) this.#heldBytes = REFUSAL_BYTES;
    if (this.#heldBytes === 0) this.#answer();
    else deadlines.add(this);
  }

  override get deadline(): number {
    return this.#deadline;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  receive(_chunk: Buffer, from: number, to: number): void {
    this.#bytesLeft -= to - from;
    if (this.#bytesLeft < 0) this.#answer();
  }

  receiveEnd(): void {
    this.#answer();
  }

  override expire(): void {
    const now = performance.now();
    const isSending = this.#stream.received > this.#receivedBefore;
    if (!isSending || now > this.#begunAt + MAX_WAIT_MS) {
      this.#answer();
      return;
    }
    this.#receivedBefore = this.#stream.received;
    this.#deadline = now + PAUSE_MS;
    this.#deadlines.add(this);
  }

  wanted(window: number): number {
    return this.#answered ? 0 : window;
  }

  evict(): void {
    this.#answer();
  }

  abandon(): void {
    this.#answer();
  }

  over(): void {
    this.#deadlines.remove(this);
    this.#giveBack();
  }

  look(): void {}
  drained(): void {}

  #answer(): void {
    if (this.#answered) return;
    this.#answered = true;
    this.#deadlines.remove(this);
    this.#giveBack();
    this.#stream.sendEnd(this.#end);
  }

  #giveBack(): void {
    this.#stream.give(this.#heldBytes);
    this.#heldBytes = 0;
  }
}
