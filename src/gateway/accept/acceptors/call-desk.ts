/** The owner's end of the line to one acceptor: makes a call of each that the acceptor forwards, and runs its method. */

import { IdTable } from '../../../http2/id-table.ts';
import { type Method, type Routes, screened } from '../call.ts';
import { type CallOpening, OpeningReader } from './call-opening.ts';
import { RequestRecord, readCancelReason, readFailure } from './call-record.ts';
import { type Parcel, ParcelReader, ParcelWriter } from './parcel.ts';
import type { AcceptorLine } from './remote-call.ts';
import { RemoteStreamingCall } from './remote-streaming-call.ts';
import { RemoteUnaryCall } from './remote-unary-call.ts';

/** Methods by the numbers that acceptors know them by. */
export type NumberedRoutes = readonly { readonly path: string; readonly method: Method }[];

export function numberRoutes(routes: Routes): NumberedRoutes {
  return [...routes].map(([path, method]) => ({ path, method }));
}

export class CallDesk implements AcceptorLine {
  readonly #routes: NumberedRoutes;
  readonly #post: (parcel: Parcel) => void;
  readonly #records = new ParcelWriter();
  readonly #openings = new OpeningReader();
  readonly #calls = new IdTable<RemoteUnaryCall | RemoteStreamingCall>();
  #awaitsFlush = false;
  #isLost = false;

  constructor(routes: NumberedRoutes, post: (parcel: Parcel) => void) {
    this.#routes = routes;
    this.#post = post;
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
        const message = from.message();
        if (call === undefined) message.memory.giveBack();
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
    const message = isWhole ? from.message() : undefined;
    const call = new RemoteUnaryCall(path, opening, this, method);
    this.#calls.set(call.id, call);
    const refusal = screened(call, method);
    if (refusal === undefined) {
      if (message !== undefined) call.receive(message);
      return;
    }
    call.refuse(refusal);
    message?.memory.giveBack();
  }
}
