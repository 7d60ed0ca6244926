import { Claim } from '../../../http2/byte-budget.ts';
import { releaseAll, type TensorBytes } from '../../../wire/tensor-bytes.ts';
import { InferError } from '../../errors.ts';
import type { Method, StreamingCall, Trailers } from '../call.ts';
import { SLICES } from '../slices.ts';
import type { CallTerms, CallTools } from './call-terms.ts';
import { Fifo } from './fifo.ts';
import type { GrpcStream } from './grpc-stream.ts';
import { Http2Call } from './http2-call.ts';
import { TurnAllowance } from './turn-allowance.ts';

type StreamingMethod = Extract<Method, { kind: 'streaming' }>;

/** A message that waits for those before it. */
interface Waiting {
  readonly message: Buffer;
  readonly tensors: readonly TensorBytes[] | undefined;
  readonly isCompressed: boolean;
  readonly heldBytes: number;
}

/** Memory of a waiting message besides its bytes: its objects. A message may have no bytes at all. */
const WAITING_BYTES = 256;

/**
 * Waiting messages that all calls together may hand on in one turn of the event loop. A message that is answered at once, by a
 * refusal for instance, lets the next one follow without a turn between. Above the allowance, calls proceed in slices.
 */
const HANDED_ON = new TurnAllowance(100);

/**
 * A call whose method starts at the headers.
 *
 * Messages come in order, one at a time, and not while the call is paused. What waits (for that, or to be inflated) counts
 * in the budget of incomplete requests, and the stream's window is not reopened for it.
 */
export class Http2StreamingCall extends Http2Call implements StreamingCall {
  onMessage: ((message: Uint8Array, tensors?: readonly TensorBytes[]) => void) | undefined = undefined;
  onEnd: (() => void) | undefined = undefined;
  onDrain: (() => void) | undefined = undefined;
  readonly #method: StreamingMethod;
  readonly #waiting = new Fifo<Waiting>();
  #paused = false;
  #delivering = false;
  #requestEnded = false;
  #endDelivered = false;
  #stopInflating: (() => void) | undefined;
  #awaitsSlice = false;

  constructor(stream: GrpcStream, terms: CallTerms, tools: CallTools, method: StreamingMethod) {
    super(stream, terms, tools);
    this.#method = method;
  }

  override begin(): void {
    this.start();
  }

  protected override run(): void {
    this.#method.handle(this);
  }

  write(chunks: readonly Uint8Array[]): boolean {
    return this.send(chunks) && !this.http2.isFull;
  }

  end(trailers?: Trailers): void {
    this.succeed(trailers);
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#deliver();
    this.http2.reopenWindow();
  }

  override receiveEnd(): void {
    if (this.ended) return;
    if (this.reader.isInside) {
      this.failWith(new InferError('malformed_message', 'the request ends inside a message'));
      return;
    }
    this.#requestEnded = true;
    this.#deliver();
  }

  override wanted(window: number): number {
    const isHeld = this.#paused || this.#waiting.length > 0;
    return isHeld || this.ended ? 0 : Math.max(window, this.reader.missingBytes);
  }

  override drained(): void {
    if (!this.ended) this.guard(() => this.onDrain?.());
  }

  override takeMessage(
    message: Buffer,
    isCompressed: boolean,
    heldBytes: number,
    tensors?: readonly TensorBytes[],
  ): void {
    this.keep(heldBytes);
    if (!isCompressed && !this.#paused && !this.#delivering && this.#waiting.length === 0) {
      this.letGo(heldBytes);
      this.#deliverOne(message, tensors);
      return;
    }
    const more = WAITING_BYTES + (heldBytes > 0 ? 0 : message.length);
    this.#waiting.push({ message: withoutItsChunk(message), tensors, isCompressed, heldBytes: heldBytes + more });
    this.hold(more, Claim.LARGE);
    this.#deliver();
  }

  protected override get isAwaited(): boolean {
    return !this.ended && this.reader.isInside;
  }

  protected override release(): void {
    super.release();
    this.#stopInflating?.();
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift())
      if (next.tensors !== undefined) releaseAll(next.tensors);
  }

  #deliverOne(message: Uint8Array, tensors: readonly TensorBytes[] | undefined): void {
    this.#delivering = true;
    this.guard(() => this.onMessage?.(message, tensors));
    this.#delivering = false;
  }

  /** Hands on what waits, as far as it may come now. A handler that pauses and resumes is not entered twice. */
  #deliver(): void {
    while (!this.#paused && !this.#delivering && !this.ended && !this.#isHeldUp) {
      const next = this.#waiting.first;
      if (next === undefined) {
        this.#deliverEnd();
        return;
      }
      if (next.isCompressed) {
        this.#inflate(next.message);
      } else if (SLICES.isOver && !HANDED_ON.take()) {
        void this.#deliverInSlice();
      } else {
        this.#drop();
        this.#deliverOne(next.message, next.tensors);
      }
    }
  }

  get #isHeldUp(): boolean {
    return this.#awaitsSlice || this.#stopInflating !== undefined;
  }

  async #deliverInSlice(): Promise<void> {
    this.#awaitsSlice = true;
    await SLICES.next();
    this.#awaitsSlice = false;
    this.#deliver();
    this.http2.reopenWindow();
  }

  #inflate(message: Buffer): void {
    this.#stopInflating = this.inflate(message, (inflated) => {
      this.#stopInflating = undefined;
      if (inflated instanceof InferError) {
        this.failWith(inflated);
        return;
      }
      this.#replaceFirst(inflated);
      this.#deliver();
      this.http2.reopenWindow();
    });
  }

  /** Takes the first one that waits out. */
  #drop(): void {
    const first = this.#waiting.shift();
    if (first !== undefined) this.letGo(first.heldBytes);
  }

  /** The inflated message is counted already. */
  #replaceFirst(message: Buffer): void {
    this.letGo((this.#waiting.first?.heldBytes ?? 0) - WAITING_BYTES);
    this.#waiting.replaceFirst({
      message,
      tensors: undefined,
      isCompressed: false,
      heldBytes: message.length + WAITING_BYTES,
    });
  }

  #deliverEnd(): void {
    if (!this.#requestEnded || this.#endDelivered) return;
    this.#endDelivered = true;
    this.guard(() => this.onEnd?.());
  }
}

/** A copy where the message is the smaller part of what it is a view of: all of that would stay for as long as it does. */
function withoutItsChunk(message: Buffer): Buffer {
  if (message.length * 2 >= message.buffer.byteLength) return message;
  const copy = Buffer.allocUnsafeSlow(message.length);
  message.copy(copy);
  return copy;
}
