/** The owner's end of the line to one acceptor: makes a call of each that the acceptor forwards, and runs its method. */

import { IdTable } from '../../../http2/id-table.ts';
import { InferError } from '../../errors.ts';
import { type AcceptorFiles, BorrowedTensors, type FilesLine } from '../../landing/borrowed-tensors.ts';
import { type Method, type Routes, screened } from '../call.ts';
import { failWith } from '../failure.ts';
import { type CallOpening, OpeningReader } from './call-opening.ts';
import { AnswerRecord, RequestRecord, readCancelReason, readFailure } from './call-record.ts';
import { type Parcel, ParcelReader, ParcelWriter } from './parcel.ts';
import type { AcceptorLine } from './remote-call.ts';
import { RemoteMessage } from './remote-message.ts';
import { RemoteStreamingCall } from './remote-streaming-call.ts';
import { RemoteUnaryCall } from './remote-unary-call.ts';

/** Methods by the numbers that acceptors know them by. */
export type NumberedRoutes = readonly { readonly path: string; readonly method: Method }[];

export function numberRoutes(routes: Routes): NumberedRoutes {
  return [...routes].map(([path, method]) => ({ path, method }));
}

export class CallDesk implements AcceptorLine, FilesLine {
  readonly #routes: NumberedRoutes;
  readonly #post: (parcel: Parcel) => void;
  readonly #records = new ParcelWriter();
  readonly #openings = new OpeningReader();
  readonly #calls = new IdTable<RemoteUnaryCall | RemoteStreamingCall>();
  readonly #files: AcceptorFiles;
  #awaitsFlush = false;
  #isLost = false;

  /** @param borrowed the tensors of all acceptors of the same directory */
  constructor(routes: NumberedRoutes, post: (parcel: Parcel) => void, borrowed = new BorrowedTensors()) {
    this.#routes = routes;
    this.#post = post;
    this.#files = borrowed.filesOf(this);
  }

  /** Calls that are not answered. */
  get size(): number {
    return this.#calls.size;
  }

  record(): ParcelWriter {
    if (!this.#awaitsFlush) {
      this.#awaitsFlush = true;
      setImmediate(() => this.#flush());
    }
    return this.#records;
  }

  forget(id: number): void {
    this.#calls.delete(id);
  }

  receive(parcel: Parcel): void {
    const from = new ParcelReader(parcel);
    while (!from.isAtEnd) this.#receiveRecord(from);
    from.close();
  }

  /** The acceptor is gone: cancels its calls. */
  lose(): void {
    this.#isLost = true;
    for (const call of this.#calls.all()) call.lose();
    this.#files.close();
  }

  // For the files of the acceptor.

  released(number: number): void {
    this.record().begin(AnswerRecord.RELEASED, number);
  }

  empty(): void {
    this.record().begin(AnswerRecord.EMPTY, 0);
  }

  #flush(): void {
    this.#awaitsFlush = false;
    const parcel = this.#records.take();
    if (!this.#isLost) this.#post(parcel);
  }

  #receiveRecord(from: ParcelReader): void {
    const kind = from.byte();
    if (kind === RequestRecord.CALL || kind === RequestRecord.HEAD) {
      this.#open(from, this.#openings.read(from), kind === RequestRecord.CALL);
      return;
    }
    const call = this.#calls.get(from.uint32());
    switch (kind) {
      case RequestRecord.MESSAGE: {
        const wayBackMs = from.double();
        const message = this.#readMessage(from);
        if (call === undefined) dropMessage(message);
        else if (message instanceof InferError) failWith(call, message);
        else call.receive(message, wayBackMs);
        return;
      }
      case RequestRecord.HALF_CLOSE:
        if (call instanceof RemoteStreamingCall) call.halfClosed();
        return;
      case RequestRecord.ENDED: {
        const reason = readCancelReason(from);
        const end = readFailure(from);
        call?.concluded(end, reason);
        return;
      }
      case RequestRecord.TAKEN: {
        const bytes = from.uint32();
        if (call instanceof RemoteStreamingCall) call.taken(bytes);
        return;
      }
      case RequestRecord.EMPTIED:
        this.#files.emptied();
        return;
      default:
        throw new TypeError(`a request record of kind ${kind}`);
    }
  }

  #open(from: ParcelReader, opening: CallOpening, isWhole: boolean): void {
    const route = this.#routes[opening.route];
    if (route === undefined) throw new TypeError(`a call of route ${opening.route}`);
    const { path, method } = route;
    if (method.kind === 'streaming') {
      const call = new RemoteStreamingCall(path, opening, this, method);
      this.#calls.set(call.id, call);
      const refusal = screened(call, method);
      if (refusal === undefined) call.begin();
      else call.refuse(refusal);
      return;
    }
    const message = isWhole ? this.#readMessage(from) : undefined;
    const call = new RemoteUnaryCall(path, opening, this, method);
    this.#calls.set(call.id, call);
    const refusal = screened(call, method) ?? (message instanceof InferError ? message : undefined);
    if (refusal !== undefined) {
      call.refuse(refusal);
      dropMessage(message);
    } else if (message instanceof RemoteMessage) {
      call.receive(message);
    }
  }

  /** @returns why the message cannot be taken, if so: its tensors are out of reach */
  #readMessage(from: ParcelReader): RemoteMessage | InferError {
    try {
      return RemoteMessage.read(from, this.#files);
    } catch (cause) {
      return new InferError('internal', 'internal error', { cause });
    }
  }
}

function dropMessage(message: RemoteMessage | InferError | undefined): void {
  if (message instanceof RemoteMessage) message.drop();
}
