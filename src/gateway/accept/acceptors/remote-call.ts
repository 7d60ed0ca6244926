/** A call whose transport runs in an acceptor: its `Call` in the thread that answers. */

import type { Peer } from '../../../http2/peer.ts';
import { boundedText, InferError, type StatusCode } from '../../errors.ts';
import { diagnostics } from '../../ops/diagnostics.ts';
import type { Call, CancelReason, Deadline, Trailers } from '../call.ts';
import { type CallEnd, publishEnd, publishStart, SUCCESS } from '../call-events.ts';
import { failHandler, failWith } from '../failure.ts';
import { objection } from '../grpc/answer-headers.ts';
import { metadataValue } from '../grpc/call-head.ts';
import type { CallOpening, RemoteHead } from './call-opening.ts';
import { AnswerRecord, writeFailure, writeTrailers } from './call-record.ts';
import type { ParcelWriter } from './parcel.ts';

/** Where calls write to their acceptor. */
export interface AcceptorLine {
  /** Its writer, whose records go out at the end of this turn of the event loop. */
  record(): ParcelWriter;
  /** The call has ended. */
  forget(id: number): void;
}

export abstract class RemoteCall implements Call {
  readonly id: number;
  readonly path: string;
  readonly deadline: Deadline;
  readonly namesDeadline: boolean;
  wayBackMs: number;
  onCancel: ((reason: CancelReason) => void) | undefined = undefined;
  readonly #acceptor: AcceptorLine;
  readonly #head: RemoteHead;
  readonly #startedAt = performance.now();
  #isStarted = false;
  #hasEnded = false;
  #isCancelled = false;

  constructor(path: string, opening: CallOpening, acceptor: AcceptorLine) {
    this.id = opening.id;
    this.path = path;
    this.deadline = opening.deadline;
    this.namesDeadline = opening.namesDeadline;
    this.wayBackMs = opening.wayBackMs;
    this.#head = opening.head;
    this.#acceptor = acceptor;
  }

  get cancelled(): boolean {
    return this.#isCancelled;
  }

  get peer(): Peer {
    return this.#head.peer;
  }

  get(name: string): string | Uint8Array | undefined {
    return metadataValue(name, this.#head.metadata.get(name));
  }

  keys(): Iterable<string> {
    return this.#head.metadata.keys();
  }

  fail(code: StatusCode, text: string, trailers?: Trailers, failure?: InferError): void {
    if (this.#hasEnded || !this.#canSend(trailers)) return;
    const end: CallEnd = { code, text: boundedText(text), failure };
    this.#conclude(end);
    const record = this.record(AnswerRecord.FAIL);
    writeFailure(record, end);
    writeTrailers(record, trailers);
  }

  /** Ends the call before its method sees it. */
  refuse(failure: InferError): void {
    this.#begun();
    failWith(this, failure);
  }

  /** The call has ended in its acceptor. @param reason only where it was cancelled */
  concluded(end: CallEnd, reason: CancelReason | undefined): void {
    if (this.#hasEnded) return;
    this.#conclude(end);
    if (reason === undefined) return;
    this.#isCancelled = true;
    this.guard(() => this.onCancel?.(reason));
  }

  /** The connection is gone, and the acceptor with it. */
  lose(): void {
    const failure = new InferError('cancelled', 'the connection of the caller was lost');
    this.concluded({ code: failure.status, text: failure.message, failure }, 'connection');
  }

  protected get hasEnded(): boolean {
    return this.#hasEnded;
  }

  protected abstract run(): void;

  /** The call has ended: frees what waits for its method. */
  protected release(): void {}

  protected start(): void {
    this.#begun();
    this.guard(() => this.run());
  }

  /** Runs a handler: what it throws ends this call, and nothing else (CALL-3). */
  protected guard(handler: () => void): void {
    try {
      handler();
    } catch (thrown) {
      failHandler(this, thrown);
    }
  }

  protected record(kind: number): ParcelWriter {
    return this.#acceptor.record().begin(kind, this.id);
  }

  /** Whether the call can end with OK now; it has ended if so. */
  protected succeed(trailers: Trailers | undefined): boolean {
    if (this.#hasEnded || !this.#canSend(trailers)) return false;
    this.#conclude(SUCCESS);
    return true;
  }

  #begun(): void {
    this.#isStarted = true;
    publishStart(this);
  }

  /** Trailers that cannot be sent are a fault of ours: the call fails without them. */
  #canSend(trailers: Trailers | undefined): boolean {
    const why = trailers === undefined ? undefined : objection(trailers);
    if (why === undefined) return true;
    diagnostics.notice.publish({ level: 'error', text: `the answer of ${this.path} cannot be sent: ${why}` });
    failWith(this, new InferError('internal', 'internal error', { cause: new TypeError(why) }));
    return false;
  }

  #conclude(end: CallEnd): void {
    this.#hasEnded = true;
    this.#acceptor.forget(this.id);
    this.release();
    if (this.#isStarted) publishEnd(this, end, this.#startedAt);
  }
}
