/**
 * The receiving half of a connection: what each frame of the peer means (RFC 9113, section 6), and what it costs.
 *
 * R1: an error of the connection is a ConnectionError, thrown; an error of a stream resets the stream (section 5.4).
 * R2: whatever a peer can do for nothing spends an allowance: frames that bring nothing, and streams that are reset, by
 *     whichever side. Answered calls earn it back. A client that resets more than it may has its calls refused for a while; its
 *     connection ends if it goes on to reset calls that were refused at once.
 * R3: a header block is decoded whatever becomes of its stream, because the table has to stay what the peer's is.
 * R4: DATA counts for the connection's window whatever becomes of its stream.
 */

import { Allowance } from './allowance.ts';
import { Claim } from './byte-budget.ts';
import { ConnectionError, ErrorCode, frameSizeError, LimitError, protocolError } from './error-code.ts';
import { Flag, FrameType, INITIAL_WINDOW_BYTES, readUint31 } from './frame.ts';
import { FrameReader, type FrameSink } from './frame-reader.ts';
import type { FrameWriter } from './frame-writer.ts';
import { HeaderBlock, type HeaderRoom } from './header-block.ts';
import { HpackDecoder } from './hpack-decoder.ts';
import type { Http2Limits, LimitListener } from './limits.ts';
import type { HeadMaker } from './protocol.ts';
import { ReceiveWindow } from './receive-window.ts';
import type { RequestHead } from './request-head.ts';
import type { RequestRoom } from './request-room.ts';
import type { Sender } from './sender.ts';
import type { PeerSettings } from './settings.ts';
import type { Http2Stream } from './stream.ts';
import { afterRequest, Reception, reception, StreamState } from './stream-state.ts';
import type { StreamTable } from './stream-table.ts';

/**
 * What to do with a new stream: take it; refuse it so that the client may send it again, because it is one too many or because
 * the client leaves too much unread; or ignore it.
 */
export type Intake = 'take' | 'refuse' | 'crowded' | 'ignore';

/** What a receiver needs of its connection. */
export interface ReceiverOwner extends LimitListener {
  readonly heads: HeadMaker;
  readonly streams: StreamTable;
  readonly sender: Sender;
  readonly writer: FrameWriter;
  readonly settings: PeerSettings;
  readonly limits: Http2Limits;
  readonly room: RequestRoom;
  /** A coarse clock, in milliseconds. */
  readonly now: number;
  readonly intake: Intake;
  /** A request has begun. */
  openStream(id: number, head: RequestHead): Http2Stream;
  /** The peer has ended the stream. */
  cancelStream(stream: Http2Stream): void;
  resetStream(stream: Http2Stream, code: ErrorCode): void;
  reopenWindow(stream: Http2Stream): void;
  /** @returns false: there was no PING of ours that this could answer */
  takePingAnswer(opaque: Buffer): boolean;
}

/** A frame that brings nothing. */
const NUISANCE = 1;
/** Much cheaper, and now and then legitimate in numbers. */
const SMALL_NUISANCE = 0.1;
/** A shorter DATA frame that completes nothing costs more than it brings. */
const USEFUL_DATA_BYTES = 256;
/** A WINDOW_UPDATE of less lets us send less than it costs to handle it. */
const USEFUL_INCREMENT_BYTES = 4 * 1024;
/** A stream that lived so long was bounded by the number of streams: its reset is free. */
const RESET_IS_FREE_AFTER_MS = 1_000;
/** To open a call while calls are refused, and to reset it all the same, is what only an attacker does. */
const DEFIANCE = 4;
/** So many bursts of resets a busy client may save by calls that were answered. */
const SAVED_BURSTS = 10;

export class Receiver implements FrameSink {
  readonly #owner: ReceiverOwner;
  readonly #reader = new FrameReader(this);
  readonly #block: HeaderBlock;
  readonly #window = new ReceiveWindow(INITIAL_WINDOW_BYTES);
  readonly #control: Allowance;
  /** Resets that the client sends. */
  readonly #resets: Allowance;
  /** Resets that the client makes us send. */
  readonly #violations: Allowance;
  #hasSettings = false;
  #settingsAcked = false;

  // The DATA frame that is being read.
  #dataStream: Http2Stream | undefined;
  #dataFlags = 0;
  #dataLength = 0;
  /** Bytes of its payload without padding: still to come, and received. */
  #dataLeft = 0;
  #dataGot = 0;
  #padLengthIsNext = false;

  constructor(owner: ReceiverOwner) {
    const { limits } = owner;
    this.#owner = owner;
    const room: HeaderRoom = {
      tryTake: (bytes) => owner.room.tryTake(undefined, bytes, Claim.SMALL),
      give: (bytes) => owner.room.give(bytes),
    };
    this.#block = new HeaderBlock(limits, room, new HpackDecoder(limits.maxHeaderListBytes, owner.heads));
    this.#control = new Allowance(limits.controlBurst, limits.controlPerSecond);
    const { resetBurst, resetsPerSecond } = limits;
    this.#resets = new Allowance(resetBurst, resetsPerSecond, SAVED_BURSTS * resetBurst);
    this.#violations = new Allowance(resetBurst, resetsPerSecond, SAVED_BURSTS * resetBurst);
  }

  /** The client's SETTINGS have come: there is a connection. */
  get hasSettings(): boolean {
    return this.#hasSettings;
  }

  /** What has begun and does not end, DATA aside: a header block, whatever its frames are, or a frame. 0: nothing; each has another number. */
  get unfinished(): number {
    return this.#block.unfinished > 0 ? -this.#block.unfinished : this.#reader.unfinished;
  }

  /** @throws ConnectionError */
  push(chunk: Buffer): void {
    this.#reader.push(chunk);
  }

  /** The client has reset so many calls that it gets no more for now. */
  get isThrottled(): boolean {
    return this.#resets.isOverdrawn(this.#owner.now);
  }

  /** The connection is over. */
  close(): void {
    this.#block.close();
  }

  /** A call was answered. */
  earn(): void {
    this.#control.earn(1);
    this.#resets.earn(1);
    this.#violations.earn(1);
  }

  /** A message was sent: clients answer these with PING and WINDOW_UPDATE. */
  earnControl(): void {
    this.#control.earn(1);
  }

  /** The peer may send DATA on some stream. */
  get isOpen(): boolean {
    return this.#window.isOpen;
  }

  /** Lets the peer send as much as all its streams may have under way. */
  reopen(): void {
    const increment = this.#window.reopen(this.#owner.limits.connectionWindowBytes);
    if (increment > 0) this.#owner.writer.windowUpdate(0, increment);
  }

  dataStart(flags: number, id: number, length: number): void {
    this.#checkOrder(FrameType.DATA, id);
    if (id === 0) throw protocolError('DATA without a stream');
    if (flags & Flag.PADDED && length === 0) throw frameSizeError('DATA without its pad length');
    if (!this.#window.receive(length)) {
      throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, 'more DATA than the connection may send');
    }
    this.#dataFlags = flags;
    this.#dataLength = length;
    this.#dataLeft = length;
    this.#dataGot = 0;
    this.#padLengthIsNext = (flags & Flag.PADDED) !== 0;
    if (length === 0) this.#checkEmptyData();
    this.#dataStream = this.#takesData(id, length);
  }

  data(chunk: Buffer, from: number, to: number): void {
    let at = from;
    if (this.#padLengthIsNext) {
      this.#padLengthIsNext = false;
      this.#dataLeft = this.#dataLength - 1 - (chunk[at++] ?? 0);
      // Section 6.1.
      if (this.#dataLeft < 0) throw protocolError('DATA with more padding than payload');
      if (this.#dataLeft === 0) this.#checkEmptyData();
    }
    const end = Math.min(to, at + this.#dataLeft);
    const stream = this.#dataStream;
    this.#dataLeft -= end - at;
    this.#dataGot += end - at;
    if (end === at || stream === undefined || stream.isOver) return;
    stream.received += end - at;
    stream.exchange?.receive(chunk, at, end);
  }

  dataEnd(): void {
    const stream = this.#dataStream;
    this.#dataStream = undefined;
    if ((this.#dataFlags & Flag.END_STREAM) === 0) this.#checkDribble(stream);
    if (stream === undefined || stream.isOver) return;
    if (this.#dataFlags & Flag.END_STREAM) this.#requestEnd(stream);
    else this.#owner.reopenWindow(stream);
  }

  frame(type: number, flags: number, id: number, chunk: Buffer, from: number, to: number): void {
    this.#checkOrder(type, id);
    if (type === FrameType.HEADERS) this.#takeHeaders(flags, id, chunk, from, to);
    else this.#takeFrame(type, flags, id, chunk.subarray(from, to));
  }

  /** A frame other than DATA and HEADERS. */
  #takeFrame(type: number, flags: number, id: number, payload: Buffer): void {
    switch (type) {
      case FrameType.CONTINUATION:
        this.#takeHead(id, this.#block.continue(flags, id, payload));
        break;
      case FrameType.WINDOW_UPDATE:
        this.#takeWindowUpdate(id, payload);
        break;
      case FrameType.RST_STREAM:
        this.#takeReset(id, payload);
        break;
      case FrameType.SETTINGS:
        this.#takeSettings(flags, id, payload);
        break;
      case FrameType.PING:
        this.#takePing(flags, id, payload);
        break;
      case FrameType.PRIORITY:
        this.#takePriority(id, payload);
        break;
      case FrameType.GOAWAY:
        this.#takeGoAway(id, payload);
        break;
      case FrameType.PUSH_PROMISE:
        // Section 8.4.
        throw protocolError('PUSH_PROMISE from a client');
      default:
        // Section 4.1: a frame of an unknown type is to be ignored.
        this.#spend(NUISANCE, 'unknown frames');
    }
  }

  /** Section 3.4: SETTINGS come first. Section 6.10: nothing comes between HEADERS and CONTINUATION. */
  #checkOrder(type: number, id: number): void {
    if (!this.#hasSettings && type !== FrameType.SETTINGS) throw protocolError('SETTINGS must come first');
    const { openId } = this.#block;
    if (openId !== 0 && (type !== FrameType.CONTINUATION || id !== openId)) {
      throw protocolError('a header block was interrupted');
    }
  }

  #checkEmptyData(): void {
    if ((this.#dataFlags & Flag.END_STREAM) === 0) this.#spend(NUISANCE, 'empty DATA');
  }

  #checkDribble(stream: Http2Stream | undefined): void {
    if (this.#dataGot === 0 || this.#dataGot >= USEFUL_DATA_BYTES) return;
    if (stream?.exchange?.isInside ?? true) this.#spend(SMALL_NUISANCE, 'tiny DATA');
  }

  #takesData(id: number, length: number): Http2Stream | undefined {
    const { streams } = this.#owner;
    const stream = streams.get(id);
    switch (reception('DATA', streams.stateOf(id))) {
      case Reception.VIOLATION:
        throw protocolError(`DATA on stream ${id}, which is idle`);
      case Reception.STREAM_CLOSED:
        this.#punish(id, ErrorCode.STREAM_CLOSED);
        return undefined;
      case Reception.TAKE:
        if (stream?.window.receive(length)) return stream;
        this.#punish(id, ErrorCode.FLOW_CONTROL_ERROR);
        return undefined;
      default:
        return undefined;
    }
  }

  #requestEnd(stream: Http2Stream): void {
    // Section 8.1.1.
    if (stream.contentLength !== undefined && stream.contentLength !== stream.received) {
      this.#punish(stream.id, ErrorCode.PROTOCOL_ERROR);
      return;
    }
    stream.state = afterRequest(stream.state);
    stream.exchange?.receiveEnd();
  }

  #takeHeaders(flags: number, id: number, chunk: Buffer, from: number, to: number): void {
    // Section 5.1.1: the streams of a client have odd numbers.
    if (id % 2 === 0) throw protocolError(`HEADERS on stream ${id}`);
    this.#takeHead(id, this.#block.start(flags, id, chunk, from, to));
  }

  #takeHead(id: number, head: RequestHead | undefined): void {
    if (head === undefined) return;
    const state = this.#owner.streams.stateOf(id);
    switch (reception('HEADERS', state)) {
      case Reception.TAKE:
        if (state === StreamState.IDLE) this.#takeRequest(id, head);
        else this.#takeTrailers(id, head);
        break;
      case Reception.STREAM_CLOSED:
        this.#punish(id, ErrorCode.STREAM_CLOSED);
        break;
      case Reception.CONNECTION_CLOSED:
        throw new ConnectionError(ErrorCode.STREAM_CLOSED, `HEADERS on stream ${id}, which is closed`);
      default:
        break;
    }
  }

  #takeRequest(id: number, head: RequestHead): void {
    const { streams, intake } = this.#owner;
    streams.use(id);
    if (intake === 'ignore') {
      streams.remember(id);
      this.#spend(NUISANCE, 'streams after GOAWAY');
    } else if (this.#block.dependsOnItself || (!head.tooLarge && !head.isRequest)) {
      this.#punish(id, ErrorCode.PROTOCOL_ERROR);
    } else if (intake === 'crowded') {
      this.#refuse(id);
      this.#spend(SMALL_NUISANCE, 'streams beside unread answers');
    } else if (intake === 'refuse') {
      this.#refuse(id);
      // A few are legitimate: those that were sent before our SETTINGS were known.
      this.#spendViolation(undefined);
    } else {
      const stream = this.#owner.openStream(id, head);
      if (this.#block.endsStream && !stream.isOver) this.#requestEnd(stream);
    }
  }

  /** Section 8.1: trailers end the request. Metadata of a client comes in its head, so they say nothing to us. */
  #takeTrailers(id: number, head: RequestHead): void {
    const stream = this.#owner.streams.get(id);
    if (stream === undefined) return;
    if (!this.#block.endsStream || !head.isTrailers) this.#punish(id, ErrorCode.PROTOCOL_ERROR);
    else this.#requestEnd(stream);
  }

  /** Section 6.9. */
  #takeWindowUpdate(id: number, payload: Buffer): void {
    if (payload.length !== 4) throw frameSizeError('WINDOW_UPDATE of the wrong size');
    const increment = readUint31(payload, 0);
    if (increment < USEFUL_INCREMENT_BYTES) this.#spend(SMALL_NUISANCE, 'small WINDOW_UPDATE');
    if (id === 0) this.#openConnection(increment);
    else this.#openStream(id, increment);
  }

  #openConnection(increment: number): void {
    if (increment === 0) throw protocolError('WINDOW_UPDATE of nothing');
    if (this.#owner.sender.open(increment)) return;
    throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, 'a window that is too large');
  }

  #openStream(id: number, increment: number): void {
    const { streams, sender } = this.#owner;
    const stream = streams.get(id);
    switch (reception('WINDOW_UPDATE', streams.stateOf(id))) {
      case Reception.VIOLATION:
        throw protocolError(`WINDOW_UPDATE on stream ${id}, which is idle`);
      case Reception.TAKE:
        if (increment === 0) this.#punish(id, ErrorCode.PROTOCOL_ERROR);
        else if (stream !== undefined && !sender.openStream(stream, increment)) {
          this.#punish(id, ErrorCode.FLOW_CONTROL_ERROR);
        }
        break;
      default:
        // It crossed our answer.
        break;
    }
  }

  /** Section 6.4. */
  #takeReset(id: number, payload: Buffer): void {
    if (id === 0) throw protocolError('RST_STREAM without a stream');
    if (payload.length !== 4) throw frameSizeError('RST_STREAM of the wrong size');
    const stream = this.#owner.streams.get(id);
    switch (reception('RST_STREAM', this.#owner.streams.stateOf(id))) {
      case Reception.VIOLATION:
        throw protocolError(`RST_STREAM on stream ${id}, which is idle`);
      case Reception.TAKE:
        if (stream !== undefined) this.#takeCancellation(stream);
        break;
      default:
        // It crossed our answer.
        this.#spend(SMALL_NUISANCE, 'RST_STREAM of a closed stream');
        if (this.isThrottled) this.#spendViolation(undefined, DEFIANCE);
    }
  }

  #takeCancellation(stream: Http2Stream): void {
    const { now } = this.#owner;
    const isFree = now - stream.openedAt >= RESET_IS_FREE_AFTER_MS;
    const cost = isFree ? 0 : (stream.exchange?.resetCost ?? 1);
    this.#owner.cancelStream(stream);
    if (!this.#resets.spend(cost, now)) this.#owner.limitReached('resetBurst');
  }

  /** Section 6.5. */
  #takeSettings(flags: number, id: number, payload: Buffer): void {
    if (id !== 0) throw protocolError('SETTINGS on a stream');
    if (flags & Flag.ACK) {
      if (payload.length !== 0) throw frameSizeError('an acknowledgement of SETTINGS with a payload');
      if (this.#settingsAcked) this.#spend(NUISANCE, 'acknowledgements of SETTINGS');
      this.#settingsAcked = true;
      return;
    }
    const { settings, sender, streams, writer } = this.#owner;
    const windowBefore = settings.initialWindowBytes;
    const entries = settings.apply(payload);
    const increment = settings.initialWindowBytes - windowBefore;
    // Section 6.9.2: it counts for the streams that are open, too. With many of them that is work.
    const touched = increment === 0 ? [] : streams.all();
    this.#spend(NUISANCE + (entries + touched.length) / 10, 'SETTINGS');
    for (const stream of touched) {
      if (!sender.openStream(stream, increment)) {
        throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, 'SETTINGS make a window too large');
      }
    }
    sender.settingsChanged();
    writer.settingsAck();
    this.#hasSettings = true;
  }

  /** Section 6.7. */
  #takePing(flags: number, id: number, opaque: Buffer): void {
    if (id !== 0) throw protocolError('PING on a stream');
    if (opaque.length !== 8) throw frameSizeError('PING of the wrong size');
    if ((flags & Flag.ACK) === 0) {
      this.#spend(NUISANCE, 'PING');
      this.#owner.writer.ping(Flag.ACK, opaque);
    } else if (!this.#owner.takePingAnswer(opaque)) {
      this.#spend(NUISANCE, 'answers to no PING');
    }
  }

  /** Section 6.3. The scheme is deprecated (section 5.3.2), and every stream has the same turn here. */
  #takePriority(id: number, payload: Buffer): void {
    if (id === 0) throw protocolError('PRIORITY without a stream');
    this.#spend(NUISANCE, 'PRIORITY');
    if (payload.length !== 5) this.#punish(id, ErrorCode.FRAME_SIZE_ERROR);
    else if (readUint31(payload, 0) === id) this.#punish(id, ErrorCode.PROTOCOL_ERROR);
  }

  /** Section 6.8: the client opens no more streams, and closes the connection when its calls have ended. */
  #takeGoAway(id: number, payload: Buffer): void {
    if (id !== 0) throw protocolError('GOAWAY on a stream');
    if (payload.length < 8) throw frameSizeError('GOAWAY of the wrong size');
    this.#spend(NUISANCE, 'GOAWAY');
  }

  #spend(tokens: number, what: string): void {
    if (this.#control.spend(tokens, this.#owner.now)) return;
    throw new LimitError('controlBurst', `too many ${what}`);
  }

  #spendViolation(stream: Http2Stream | undefined, tokens = 1): void {
    const { now } = this.#owner;
    if (stream !== undefined && now - stream.openedAt >= RESET_IS_FREE_AFTER_MS) return;
    if (this.#violations.spend(tokens, now)) return;
    throw new LimitError('resetBurst', 'too many streams that are reset');
  }

  /** Section 8.7: the client may send it again. */
  #refuse(id: number): void {
    this.#owner.writer.resetStream(id, ErrorCode.REFUSED_STREAM);
    this.#owner.streams.remember(id);
  }

  /** Resets a stream, open or not, for what its peer did (section 5.4.2). */
  #punish(id: number, code: ErrorCode): void {
    const { streams, writer } = this.#owner;
    const stream = streams.get(id);
    if (stream === undefined) {
      writer.resetStream(id, code);
      streams.remember(id);
    } else {
      this.#owner.resetStream(stream, code);
    }
    this.#spendViolation(stream);
  }
}
