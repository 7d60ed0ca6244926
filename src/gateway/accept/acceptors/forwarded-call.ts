/** A call in its acceptor: what has been said of it to the owner, and what the owner says. */

import type { TensorBytes } from '../../../wire/tensor-bytes.ts';
import type { CancelReason, Trailers } from '../call.ts';
import type { CallEnd } from '../call-events.ts';
import { failWith } from '../failure.ts';
import type { CallObserver, Http2Call } from '../grpc/http2-call.ts';
import { Http2StreamingCall } from '../grpc/http2-streaming-call.ts';
import { Http2UnaryCall } from '../grpc/http2-unary-call.ts';
import { type FailedEnd, RequestRecord, writeCancelReason, writeFailure } from './call-record.ts';
import { messageCost } from './message-cost.ts';
import type { ParcelWriter, ReceivedMessage } from './parcel.ts';

/** Bytes of a stream that its handler may have before it: above them the client is held back. */
const AHEAD_BYTES = 64 * 1024;
/** The owner learns that bytes were taken once there are as many. */
const TAKEN_BYTES = 64 * 1024;

/** Where a call writes to the owner. */
export interface OwnerLine {
  /** Its writer, whose records go out at the end of this turn of the event loop. */
  record(): ParcelWriter;
  /** Writes the tensors of a message to it, and hands them over. */
  tensors(tensors: readonly TensorBytes[]): void;
  /** The call has ended. */
  forget(call: ForwardedCall): void;
}

export class ForwardedCall implements CallObserver {
  readonly id: number;
  readonly route: number;
  readonly call: Http2Call;
  /** The owner knows of it. */
  isAnnounced = false;
  readonly #owner: OwnerLine;
  /** The owner has ended it. */
  #isSettled = false;
  #undelivered = 0;
  #isHeldBack = false;
  /** Written bytes that were not reported to the owner. */
  #taken = 0;

  constructor(id: number, route: number, call: Http2Call, owner: OwnerLine) {
    this.id = id;
    this.route = route;
    this.call = call;
    this.#owner = owner;
    call.observer = this;
  }

  concluded(end: CallEnd, reason: CancelReason | undefined): void {
    this.#owner.forget(this);
    if (this.#isSettled || !this.isAnnounced) return;
    const record = this.#record(RequestRecord.ENDED);
    writeCancelReason(record, reason);
    writeFailure(record, end);
  }

  // From the client.

  /** Takes over the messages of a stream that has begun. */
  listen(): void {
    const { call } = this;
    if (!(call instanceof Http2StreamingCall)) return;
    call.onMessage = (message, tensors = []) => {
      this.#undelivered += messageCost(message, tensors);
      this.message(message, tensors);
      if (this.#undelivered < AHEAD_BYTES || this.#isHeldBack) return;
      this.#isHeldBack = true;
      call.pause();
    };
    call.onEnd = () => void this.#record(RequestRecord.HALF_CLOSE);
    call.onDrain = () => this.#reportTaken();
  }

  message(message: Uint8Array, tensors: readonly TensorBytes[]): void {
    this.#record(RequestRecord.MESSAGE).double(this.call.wayBackMs);
    this.contents(message, tensors);
  }

  /** Writes a message and the tensors beside it. Where the owner has a copy of the message, the chunk in which it came can go. */
  contents(message: Uint8Array, tensors: readonly TensorBytes[]): void {
    const written = this.#owner.record().message([message], message.byteLength, true);
    this.#owner.tensors(tensors);
    if (written === 'copied' && this.call instanceof Http2UnaryCall) this.call.discardMessage();
  }

  // From the owner.

  reply({ bytes, memory }: ReceivedMessage, trailers: Trailers | undefined): void {
    this.#isSettled = true;
    if (this.call instanceof Http2UnaryCall) this.call.reply([bytes], trailers, memory);
  }

  fail({ code, text, failure }: FailedEnd, trailers: Trailers | undefined): void {
    this.#isSettled = true;
    if (failure === undefined) this.call.fail(code, text, trailers);
    else if (this.call.isStarted) failWith(this.call, failure, trailers);
    else this.call.refuse(failure);
  }

  end(trailers: Trailers | undefined): void {
    this.#isSettled = true;
    if (this.call instanceof Http2StreamingCall) this.call.end(trailers);
  }

  write(message: Uint8Array): void {
    if (!(this.call instanceof Http2StreamingCall)) return;
    this.#taken += message.byteLength;
    if (this.call.write([message]) && this.#taken >= TAKEN_BYTES) this.#reportTaken();
  }

  delivered(bytes: number): void {
    this.#undelivered -= bytes;
    if (!this.#isHeldBack || this.#undelivered * 2 > AHEAD_BYTES) return;
    this.#isHeldBack = false;
    if (this.call instanceof Http2StreamingCall) this.call.resume();
  }

  #reportTaken(): void {
    this.#record(RequestRecord.TAKEN).uint32(this.#taken);
    this.#taken = 0;
  }

  #record(kind: number): ParcelWriter {
    return this.#owner.record().begin(kind, this.id);
  }
}
