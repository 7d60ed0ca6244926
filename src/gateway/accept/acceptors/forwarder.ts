/**
 * The acceptor's end of the line to the owner: gives each accepted call a number, writes what comes to records, and gives each
 * answer to its call. It knows no models: its routes are as many places to forward from.
 *
 * FWD-1: the owner learns of each call at most once, and of its end only if it knows the call.
 * FWD-2: a number is never used again, so an answer that has crossed the end of its call meets no other.
 */

import { IdTable } from '../../../http2/id-table.ts';
import { isLanded, releaseAll, type TensorBytes } from '../../../wire/tensor-bytes.ts';
import type { Method, Routes } from '../call.ts';
import { failWith } from '../failure.ts';
import { Http2Call } from '../grpc/http2-call.ts';
import { Http2UnaryCall } from '../grpc/http2-unary-call.ts';
import { noRoom } from '../grpc/no-room.ts';
import { OpeningWriter } from './call-opening.ts';
import { AnswerRecord, RequestRecord, readFailure, readTrailers } from './call-record.ts';
import { ForwardedCall, type OwnerLine } from './forwarded-call.ts';
import { HandedTensors } from './handed-tensors.ts';
import { type Parcel, ParcelReader, ParcelWriter } from './parcel.ts';
import type { RouteDescription } from './route-description.ts';

export interface ForwarderOptions {
  /** From the clock of this thread to the owner's, in milliseconds. */
  readonly clockShiftMs: number;
  /** Bytes that may be on their way to the owner: above them calls are refused, as where requests hold all they may. */
  readonly maxBytesUnderWay: number;
  post(parcel: Parcel): void;
  /** Frees what it can of the files in which tensors land. */
  emptyFiles(): void;
  /** How many parcels the owner has taken since the start, modulo 2^32. */
  taken(): number;
}

export class Forwarder implements OwnerLine {
  readonly #options: ForwarderOptions;
  readonly #records = new ParcelWriter();
  readonly #openings: OpeningWriter;
  readonly #calls = new IdTable<ForwardedCall>();
  readonly #handed = new HandedTensors();
  /** Calls of this turn of the event loop whose message has not come. */
  #opened: ForwardedCall[] = [];
  #lastId = 0;
  #awaitsFlush = false;
  /** Sizes of the parcels that the owner has not taken. */
  readonly #underWay: number[] = [];
  #bytesUnderWay = 0;
  #parcelsTaken = 0;

  constructor(options: ForwarderOptions) {
    this.#options = options;
    this.#openings = new OpeningWriter(options.clockShiftMs);
  }

  routes(descriptions: readonly RouteDescription[]): Routes {
    return new Map(descriptions.map((description, route) => [description.path, this.#method(description, route)]));
  }

  /** Calls that the owner may still answer. */
  get size(): number {
    return this.#calls.size;
  }

  record(): ParcelWriter {
    this.#flushSoon();
    return this.#records;
  }

  tensors(tensors: readonly TensorBytes[]): void {
    this.#handed.write(this.#records, tensors);
  }

  forget({ id }: ForwardedCall): void {
    this.#calls.delete(id);
  }

  receive(parcel: Parcel): void {
    const from = new ParcelReader(parcel);
    while (!from.isAtEnd) this.#receiveRecord(from);
    from.close();
  }

  flush(): void {
    this.#awaitsFlush = false;
    const opened = this.#opened;
    this.#opened = [];
    for (const forwarded of opened) {
      if (this.#calls.get(forwarded.id) !== undefined && !forwarded.isAnnounced)
        this.#announce(forwarded, RequestRecord.HEAD);
    }
    this.settle();
    if (this.#records.isEmpty) return;
    const { byteLength } = this.#records;
    this.#underWay.push(byteLength);
    this.#bytesUnderWay += byteLength;
    this.#options.post(this.#records.take());
  }

  /** Counts off the parcels that the owner has taken. */
  settle(): void {
    const arrived = (this.#options.taken() - this.#parcelsTaken) >>> 0;
    this.#parcelsTaken = (this.#parcelsTaken + arrived) >>> 0;
    for (const bytes of this.#underWay.splice(0, arrived)) this.#bytesUnderWay -= bytes;
  }

  #method(description: RouteDescription, route: number): Method {
    const { kind, maxMessageBytes, messageLimitSetting, isScreened, landsTensors } = description;
    const limits = {
      maxMessageBytes,
      ...(landsTensors && { landsTensors }),
      ...(messageLimitSetting !== undefined && { messageLimitSetting }),
    };
    const take = (call: unknown): void => this.#take(route, http2(call));
    if (kind === 'streaming') return { kind, ...limits, handle: take };
    const screen = (call: unknown): undefined => {
      this.#opened.push(this.#open(route, http2(call)));
      this.#flushSoon();
    };
    return { kind, ...limits, ...(isScreened && { screen }), handle: take };
  }

  #open(route: number, call: Http2Call): ForwardedCall {
    this.#lastId = (this.#lastId + 1) >>> 0;
    const forwarded = new ForwardedCall(this.#lastId, route, call, this);
    this.#calls.set(forwarded.id, forwarded);
    return forwarded;
  }

  #take(route: number, call: Http2Call): void {
    const known = call.observer instanceof ForwardedCall ? call.observer : this.#open(route, call);
    const { message, tensors } = takeContents(call);
    if (this.#isFull((message?.byteLength ?? 0) + bytesInMemory(tensors))) {
      failWith(call, noRoom());
      releaseAll(tensors);
      return;
    }
    this.#flushSoon();
    if (known.isAnnounced) {
      known.message(message ?? NOTHING, tensors);
      return;
    }
    this.#announce(known, RequestRecord.CALL);
    if (message === undefined) known.listen();
    else known.contents(message, tensors);
  }

  #isFull(bytes: number): boolean {
    const { maxBytesUnderWay } = this.#options;
    const isFull = (): boolean =>
      this.#bytesUnderWay > 0 && this.#bytesUnderWay + this.#records.byteLength + bytes > maxBytesUnderWay;
    if (!isFull()) return false;
    this.settle();
    return isFull();
  }

  #announce(forwarded: ForwardedCall, kind: number): void {
    const { id, route, call } = forwarded;
    forwarded.isAnnounced = true;
    this.#records.byte(kind);
    this.#openings.write(this.#records, call, id, route);
  }

  #receiveRecord(from: ParcelReader): void {
    const kind = from.byte();
    const id = from.uint32();
    const call = this.#calls.get(id);
    switch (kind) {
      case AnswerRecord.REPLY: {
        const message = from.message();
        const trailers = readTrailers(from);
        if (call === undefined) message.memory.giveBack();
        else call.reply(message, trailers);
        return;
      }
      case AnswerRecord.FAIL: {
        const end = readFailure(from);
        const trailers = readTrailers(from);
        call?.fail(end, trailers);
        return;
      }
      case AnswerRecord.WRITE: {
        const { bytes } = from.message();
        call?.write(bytes);
        return;
      }
      case AnswerRecord.END: {
        const trailers = readTrailers(from);
        call?.end(trailers);
        return;
      }
      case AnswerRecord.DELIVERED: {
        const bytes = from.uint32();
        call?.delivered(bytes);
        return;
      }
      case AnswerRecord.RELEASED:
        this.#handed.released(id);
        return;
      case AnswerRecord.EMPTY:
        this.#options.emptyFiles();
        this.record().begin(RequestRecord.EMPTIED, 0);
        return;
      default:
        throw new TypeError(`an answer record of kind ${kind}`);
    }
  }

  #flushSoon(): void {
    if (this.#awaitsFlush) return;
    this.#awaitsFlush = true;
    setImmediate(() => this.flush());
  }
}

const NOTHING = new Uint8Array(0);

const NO_TENSORS: readonly TensorBytes[] = [];

interface Contents {
  /** `undefined` for a stream, which begins without one. */
  readonly message: Uint8Array | undefined;
  readonly tensors: readonly TensorBytes[];
}

function takeContents(call: Http2Call): Contents {
  if (!(call instanceof Http2UnaryCall)) return { message: undefined, tensors: NO_TENSORS };
  return { message: call.message, tensors: call.takeTensors() };
}

function bytesInMemory(tensors: readonly TensorBytes[]): number {
  let bytes = 0;
  for (const tensor of tensors) if (!isLanded(tensor)) bytes += tensor.byteLength;
  return bytes;
}

/** The transport of an acceptor is our own, and makes only such calls. */
function http2(call: unknown): Http2Call {
  if (call instanceof Http2Call) return call;
  throw new TypeError('only calls of our own transport can be forwarded');
}
