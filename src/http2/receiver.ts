/**
 * The receiving half of a connection: what each frame of the peer means (RFC 9113, section 6), and what it costs.
 *
 * RECV-1: an error of the connection is a ConnectionError, thrown; an error of a stream resets the stream (section 5.4).
 * RECV-2: whatever a peer can do for nothing spends an allowance: frames that bring nothing, and streams that are reset, by
 *     whichever side. Answered calls earn it back. A client that resets more than it may has its calls refused for a while; its
 *     connection ends if it goes on to reset calls that were refused at once.
 * RECV-3: a header block is decoded whatever becomes of its stream, because the table has to stay what the peer's is.
 * RECV-4: DATA counts for the connection's window whatever becomes of its stream.
 */

import { Claim } from './byte-budget.ts';
import { DataReception } from './data-reception.ts';
import { ConnectionError, ErrorCode, frameSizeError, protocolError } from './error-code.ts';
import { Flag, FrameType, readUint31 } from './frame.ts';
import { FrameReader, type FrameSink } from './frame-reader.ts';
import type { FrameWriter } from './frame-writer.ts';
import { HeaderBlock, type HeaderRoom } from './header-block.ts';
import { HpackDecoder } from './hpack-decoder.ts';
import type { Http2Limits, LimitListener } from './limits.ts';
import { NUISANCE, PeerAllowances, SMALL_NUISANCE } from './peer-allowances.ts';
import type { HeadMaker } from './protocol.ts';
import type { RequestHead } from './request-head.ts';
import type { RequestRoom } from './request-room.ts';
import type { Sender } from './sender.ts';
import type { PeerSettings } from './settings.ts';
import { SettingsReception } from './settings-reception.ts';
import type { Http2Stream } from './stream.ts';
import { Reception, reception, StreamState } from './stream-state.ts';
import type { StreamTable } from './stream-table.ts';
import { StreamVerdicts } from './stream-verdicts.ts';

/**
 * The answer to a new stream: take it; refuse it so that the client may send it again, because it is one too many or because
 * the client leaves too much unread; or ignore it.
 */
export type Intake = 'take' | 'refuse' | 'crowded' | 'ignore';

interface ReceivingCarrier {
  openStream(id: number, head: RequestHead): Http2Stream;
  cancelStream(stream: Http2Stream): void;
  resetStream(stream: Http2Stream, code: ErrorCode): void;
  reopenWindow(stream: Http2Stream): void;
}

export interface ReceiverOwner extends LimitListener {
  readonly protocol: HeadMaker;
  readonly streams: StreamTable;
  readonly sender: Sender;
  readonly writer: FrameWriter;
  readonly settings: PeerSettings;
  readonly limits: Http2Limits;
  readonly room: RequestRoom;
  /** A coarse clock, in milliseconds. */
  readonly now: number;
  readonly intake: Intake;
  readonly carrier: ReceivingCarrier;
  /** @returns false: there was no PING of ours that this could answer */
  takePingAnswer(opaque: Buffer): boolean;
}

/** A WINDOW_UPDATE of less lets us send less than it costs to handle it. */
const USEFUL_INCREMENT_BYTES = 4 * 1024;
export class Receiver implements FrameSink {
  readonly #owner: ReceiverOwner;
  readonly #reader: FrameReader;
  readonly #block: HeaderBlock;
  /** Free actions of the peer. */
  readonly allowances: PeerAllowances;
  readonly data: DataReception;
  readonly #verdicts: StreamVerdicts;
  readonly #settings: SettingsReception;

  constructor(owner: ReceiverOwner) {
    const { limits } = owner;
    this.#owner = owner;
    this.allowances = new PeerAllowances(owner);
    this.#verdicts = new StreamVerdicts(owner, this.allowances);
    this.#settings = new SettingsReception(owner, this.allowances);
    this.data = new DataReception(this, owner, this.allowances, this.#verdicts);
    this.#reader = new FrameReader(this.data, this);
    const room: HeaderRoom = {
      tryTake: (bytes) => owner.room.tryTake(undefined, bytes, Claim.SMALL),
      give: (bytes) => owner.room.give(bytes),
    };
    this.#block = new HeaderBlock(limits, room, new HpackDecoder(limits.maxHeaderListBytes, owner.protocol));
  }

  /** The client's SETTINGS have come: there is a connection. */
  get hasSettings(): boolean {
    return this.#settings.haveCome;
  }

  /** Number of the incomplete header block or frame, DATA aside; 0 if there is none. Each has another number. */
  get unfinished(): number {
    return this.#block.unfinished > 0 ? -this.#block.unfinished : this.#reader.unfinished;
  }

  /** @throws ConnectionError */
  push(chunk: Buffer): void {
    this.#reader.push(chunk);
  }

  close(): void {
    this.#block.close();
  }

  frame(type: number, flags: number, id: number, chunk: Buffer, from: number, to: number): void {
    this.checkOrder(type, id);
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
        this.#settings.take(flags, id, payload);
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
        this.allowances.spend(NUISANCE, 'unknown frames');
    }
  }

  /** Section 3.4: SETTINGS come first. Section 6.10: nothing comes between HEADERS and CONTINUATION. */
  checkOrder(type: number, id: number): void {
    if (!this.#settings.haveCome && type !== FrameType.SETTINGS) throw protocolError('SETTINGS must come first');
    const { openId } = this.#block;
    if (openId !== 0 && (type !== FrameType.CONTINUATION || id !== openId)) {
      throw protocolError('a header block was interrupted');
    }
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
        this.#verdicts.punish(id, ErrorCode.STREAM_CLOSED);
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
      this.allowances.spend(NUISANCE, 'streams after GOAWAY');
    } else if (this.#block.dependsOnItself || (!head.tooLarge && !head.isRequest)) {
      this.#verdicts.punish(id, ErrorCode.PROTOCOL_ERROR);
    } else if (intake === 'crowded') {
      this.#verdicts.refuse(id);
      this.allowances.spend(SMALL_NUISANCE, 'streams beside unread answers');
    } else if (intake === 'refuse') {
      this.#verdicts.refuse(id);
      // A few are legitimate: those that were sent before our SETTINGS were known.
      this.allowances.spendViolation(undefined);
    } else {
      const stream = this.#owner.carrier.openStream(id, head);
      if (this.#block.endsStream && !stream.isOver) this.#verdicts.complete(stream);
    }
  }

  /** Section 8.1: trailers end the request. Metadata of a client comes in its head, so they say nothing to us. */
  #takeTrailers(id: number, head: RequestHead): void {
    const stream = this.#owner.streams.get(id);
    if (stream === undefined) return;
    if (!this.#block.endsStream || !head.isTrailers) this.#verdicts.punish(id, ErrorCode.PROTOCOL_ERROR);
    else this.#verdicts.complete(stream);
  }

  /** Section 6.9. */
  #takeWindowUpdate(id: number, payload: Buffer): void {
    if (payload.length !== 4) throw frameSizeError('WINDOW_UPDATE of the wrong size');
    const increment = readUint31(payload, 0);
    if (increment < USEFUL_INCREMENT_BYTES) this.allowances.spend(SMALL_NUISANCE, 'small WINDOW_UPDATE');
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
        if (increment === 0) this.#verdicts.punish(id, ErrorCode.PROTOCOL_ERROR);
        else if (stream !== undefined && !sender.openStream(stream, increment)) {
          this.#verdicts.punish(id, ErrorCode.FLOW_CONTROL_ERROR);
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
        if (stream !== undefined) this.#cancel(stream);
        break;
      default:
        // It crossed our answer.
        this.allowances.spendLateReset();
    }
  }

  #cancel(stream: Http2Stream): void {
    this.allowances.spendReset(stream);
    this.#owner.carrier.cancelStream(stream);
  }

  /** Section 6.7. */
  #takePing(flags: number, id: number, opaque: Buffer): void {
    if (id !== 0) throw protocolError('PING on a stream');
    if (opaque.length !== 8) throw frameSizeError('PING of the wrong size');
    if ((flags & Flag.ACK) === 0) {
      this.allowances.spend(NUISANCE, 'PING');
      this.#owner.writer.ping(Flag.ACK, opaque);
    } else if (!this.#owner.takePingAnswer(opaque)) {
      this.allowances.spend(NUISANCE, 'answers to no PING');
    }
  }

  /** Section 6.3. The scheme is deprecated (section 5.3.2), and streams are served round-robin here. */
  #takePriority(id: number, payload: Buffer): void {
    if (id === 0) throw protocolError('PRIORITY without a stream');
    this.allowances.spend(NUISANCE, 'PRIORITY');
    if (payload.length !== 5) this.#verdicts.punish(id, ErrorCode.FRAME_SIZE_ERROR);
    else if (readUint31(payload, 0) === id) this.#verdicts.punish(id, ErrorCode.PROTOCOL_ERROR);
  }

  /** Section 6.8: the client opens no more streams, and closes the connection when its calls have ended. */
  #takeGoAway(id: number, payload: Buffer): void {
    if (id !== 0) throw protocolError('GOAWAY on a stream');
    if (payload.length < 8) throw frameSizeError('GOAWAY of the wrong size');
    this.allowances.spend(NUISANCE, 'GOAWAY');
  }
}
