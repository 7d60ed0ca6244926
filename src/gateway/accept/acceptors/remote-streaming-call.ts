import type { TensorBytes } from '../../../wire/tensor-bytes.ts';
import type { Method, StreamingCall, Trailers } from '../call.ts';
import { Fifo } from '../grpc/fifo.ts';
import { TurnAllowance } from '../grpc/turn-allowance.ts';
import { SLICES } from '../slices.ts';
import type { CallOpening } from './call-opening.ts';
import { AnswerRecord, writeTrailers } from './call-record.ts';
import { byteLengthOf, messageCost } from './message-cost.ts';
import { type AcceptorLine, RemoteCall } from './remote-call.ts';
import type { RemoteMessage } from './remote-message.ts';

type StreamingMethod = Extract<Method, { kind: 'streaming' }>;

/** Written bytes that the transport has not taken, at which `write` says false, and at which there is room again. */
const HIGH_WATER_BYTES = 1024 * 1024;
const LOW_WATER_BYTES = 256 * 1024;

/** Waiting messages that all calls together may hand on in one turn of the event loop; see `grpc/http2-streaming-call.ts`. */
const HANDED_ON = new TurnAllowance(100);

/**
 * Messages come in order, one at a time, and not while the call is paused. The acceptor sends few ahead of those that were
 * handed on, so that a paused call holds its client back.
 */
export class RemoteStreamingCall extends RemoteCall implements StreamingCall {
  onMessage: ((message: Uint8Array, tensors?: readonly TensorBytes[]) => void) | undefined = undefined;
  onEnd: (() => void) | undefined = undefined;
  onDrain: (() => void) | undefined = undefined;
  readonly #method: StreamingMethod;
  readonly #waiting = new Fifo<RemoteMessage>();
  #isPaused = false;
  #isDelivering = false;
  #awaitsSlice = false;
  #isHalfClosed = false;
  #endDelivered = false;
  /** Written, and not taken. */
  #untaken = 0;
  #isFull = false;

  constructor(path: string, opening: CallOpening, acceptor: AcceptorLine, method: StreamingMethod) {
    super(path, opening, acceptor);
    this.#method = method;
  }

  begin(): void {
    this.start();
  }

  protected override run(): void {
    this.#method.handle(this);
  }

  write(chunks: readonly Uint8Array[]): boolean {
    if (this.hasEnded) return false;
    const byteLength = byteLengthOf(chunks);
    this.record(AnswerRecord.WRITE).message(chunks, byteLength, false);
    this.#untaken += byteLength;
    this.#isFull ||= this.#untaken >= HIGH_WATER_BYTES;
    return !this.#isFull;
  }

  end(trailers?: Trailers): void {
    if (this.succeed(trailers)) writeTrailers(this.record(AnswerRecord.END), trailers);
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#deliver();
  }

  // From the acceptor.

  receive(message: RemoteMessage, wayBackMs: number): void {
    if (this.hasEnded) {
      message.drop();
      return;
    }
    this.wayBackMs = wayBackMs;
    this.#waiting.push(message);
    this.#deliver();
  }

  halfClosed(): void {
    this.#isHalfClosed = true;
    this.#deliver();
  }

  taken(bytes: number): void {
    this.#untaken -= bytes;
    if (!this.#isFull || this.#untaken > LOW_WATER_BYTES) return;
    this.#isFull = false;
    if (!this.hasEnded) this.guard(() => this.onDrain?.());
  }

  /** Hands on what waits, as far as it may come now. A handler that pauses and resumes is not entered twice. */
  #deliver(): void {
    while (!this.#isPaused && !this.#isDelivering && !this.hasEnded && !this.#awaitsSlice) {
      if (this.#waiting.length === 0) {
        this.#deliverEnd();
        return;
      }
      if (SLICES.isOver && !HANDED_ON.take()) void this.#deliverInSlice();
      else this.#deliverNext();
    }
  }

  async #deliverInSlice(): Promise<void> {
    this.#awaitsSlice = true;
    await SLICES.next();
    this.#awaitsSlice = false;
    this.#deliver();
  }

  #deliverNext(): void {
    const message = this.#waiting.shift();
    if (message === undefined) return;
    this.record(AnswerRecord.DELIVERED).uint32(messageCost(message.bytes, message.tensors));
    this.#isDelivering = true;
    this.guard(() => this.onMessage?.(message.bytes, message.tensors));
    this.#isDelivering = false;
  }

  protected override release(): void {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) next.drop();
  }

  #deliverEnd(): void {
    if (!this.#isHalfClosed || this.#endDelivered) return;
    this.#endDelivered = true;
    this.guard(() => this.onEnd?.());
  }
}
