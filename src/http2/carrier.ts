/**
 * Carries the streams of a connection, from their opening to their end.
 *
 * CARRY-1: every stream's exchange is notified once when the stream is over, however it ends.
 */

import { ErrorCode } from './error-code.ts';
import type { CutReason } from './exchange.ts';
import { MAX_WINDOW_BYTES } from './frame.ts';
import type { FrameWriter } from './frame-writer.ts';
import type { Http2Limits } from './limits.ts';
import type { Peer } from './peer.ts';
import type { Pings } from './pings.ts';
import type { Protocol } from './protocol.ts';
import type { ReceivedChunk } from './received-chunk.ts';
import type { Receiver } from './receiver.ts';
import type { RequestHead } from './request-head.ts';
import type { RequestRoom } from './request-room.ts';
import type { Sender } from './sender.ts';
import type { PeerSettings } from './settings.ts';
import { Http2Stream, type StreamCarrier } from './stream.ts';
import { afterAnswer, StreamState } from './stream-state.ts';
import type { StreamTable } from './stream-table.ts';
import type { WayBack } from './way-back.ts';

/** Dependencies of a carrier: the parts of its connection. */
export interface CarrierOwner {
  readonly peer: Peer;
  readonly wayBack: WayBack;
  readonly room: RequestRoom;
  readonly chunk: ReceivedChunk;
  readonly limits: Http2Limits;
  readonly settings: PeerSettings;
  readonly streams: StreamTable;
  readonly writer: FrameWriter;
  readonly sender: Sender;
  readonly receiver: Receiver;
  readonly pings: Pings;
  readonly protocol: Protocol;
  /** A coarse clock, in milliseconds. */
  readonly now: number;
  /** @returns whether there is room for so many bytes of unread answers now */
  makeRoom(bytes: number): boolean;
  /** Something is to be flushed. */
  touched(): void;
}

export class Carrier implements StreamCarrier {
  readonly peer: Peer;
  readonly wayBack: WayBack;
  readonly room: RequestRoom;
  readonly chunk: ReceivedChunk;
  /** The last stream that was taken (section 6.8). */
  lastTaken = 0;
  readonly #owner: CarrierOwner;
  readonly #streams: StreamTable;
  readonly #writer: FrameWriter;

  constructor(owner: CarrierOwner) {
    this.peer = owner.peer;
    this.wayBack = owner.wayBack;
    this.room = owner.room;
    this.chunk = owner.chunk;
    this.#owner = owner;
    this.#streams = owner.streams;
    this.#writer = owner.writer;
  }

  // Calls of the receiving half.

  /** A request has begun. */
  openStream(id: number, head: RequestHead): Http2Stream {
    const { limits, settings, now, pings, protocol, receiver } = this.#owner;
    this.lastTaken = id;
    pings.isUsed = true;
    const stream = new Http2Stream(this, id, {
      receiveWindowBytes: limits.streamWindowBytes,
      sendWindowBytes: settings.initialWindowBytes,
      openedAt: now,
    });
    stream.contentLength = head.contentLength;
    this.#streams.add(stream);
    if (receiver.allowances.isThrottled) protocol.refuse(stream);
    else protocol.open(stream, head);
    return stream;
  }

  /** The peer has ended the stream. */
  cancelStream(stream: Http2Stream): void {
    this.#close(stream, StreamState.CLOSED, 'client');
  }

  // Calls of the streams.

  get maySend(): boolean {
    return this.#owner.receiver.data.isOpen;
  }

  send(stream: Http2Stream, prefix: Uint8Array, chunks: readonly Uint8Array[], byteLength: number): boolean {
    const { receiver, pings, sender } = this.#owner;
    receiver.allowances.earnControl();
    pings.isUsed = true;
    if (sender.data(stream, prefix, chunks, byteLength)) return true;
    // Handlers of other connections run while room is made: what they send may change the prefix.
    const kept = Buffer.from(prefix);
    return this.#owner.makeRoom(byteLength) && sender.data(stream, kept, chunks, byteLength);
  }

  sendEnd(stream: Http2Stream, end: object): void {
    stream.end = end;
    this.#owner.sender.end(stream);
  }

  sendPlain(stream: Http2Stream, httpStatus: number, body: Buffer): void {
    this.#owner.sender.plain(stream, httpStatus, body);
  }

  resetStream(stream: Http2Stream, code: ErrorCode): void {
    this.#writer.resetStream(stream.id, code);
    this.#owner.touched();
    this.#streams.remember(stream.id);
    this.#close(stream, StreamState.RESET, 'client');
  }

  reopenWindow(stream: Http2Stream): void {
    const wanted = stream.exchange?.wanted(this.#owner.limits.streamWindowBytes) ?? 0;
    const increment = stream.window.reopen(Math.min(wanted, MAX_WINDOW_BYTES));
    if (increment === 0) return;
    this.#writer.windowUpdate(stream.id, increment);
    this.#owner.touched();
  }

  // Reports of the sending half and of the connection.

  /** All of the answer was handed to the socket, END_STREAM and all. */
  answered(stream: Http2Stream): void {
    if (stream.exchange?.isWork) {
      this.#owner.receiver.allowances.earn();
      this.#owner.pings.probeOnce();
    }
    const state = afterAnswer(stream.state);
    if (state === StreamState.HALF_CLOSED_LOCAL) {
      // Section 8.1: the rest of the request is not needed.
      this.#writer.resetStream(stream.id, ErrorCode.NO_ERROR);
      this.#streams.remember(stream.id);
      this.#close(stream, StreamState.RESET, undefined);
    } else {
      this.#close(stream, state, undefined);
    }
  }

  /** The connection is over. */
  endStreams(): void {
    for (const stream of this.#streams.all()) this.#close(stream, StreamState.CLOSED, 'connection');
  }

  #close(stream: Http2Stream, state: StreamState, reason: CutReason | undefined): void {
    stream.state = state;
    this.#streams.remove(stream);
    this.#owner.sender.forget(stream);
    stream.exchange?.over(reason);
  }
}
