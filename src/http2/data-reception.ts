import { ConnectionError, ErrorCode, frameSizeError, protocolError } from './error-code.ts';
import { Flag, FrameType, INITIAL_WINDOW_BYTES } from './frame.ts';
import type { DataSink } from './frame-reader.ts';
import type { FrameWriter } from './frame-writer.ts';
import type { Http2Limits } from './limits.ts';
import { NUISANCE, type PeerAllowances, SMALL_NUISANCE } from './peer-allowances.ts';
import { ReceiveWindow } from './receive-window.ts';
import type { Http2Stream } from './stream.ts';
import { Reception, reception } from './stream-state.ts';
import type { StreamTable } from './stream-table.ts';
import type { StreamVerdicts } from './stream-verdicts.ts';

/** A shorter DATA frame that completes nothing costs more than it brings. */
const USEFUL_DATA_BYTES = 256;

interface DataOwner {
  readonly streams: StreamTable;
  readonly writer: FrameWriter;
  readonly limits: Http2Limits;
  readonly carrier: { reopenWindow(stream: Http2Stream): void };
}

/** Whether a frame may come now. */
interface FrameOrder {
  /** @throws ConnectionError */
  checkOrder(type: number, id: number): void;
}

/** DATA frames to the exchanges of their streams (RFC 9113, section 6.1), and the window of the connection. */
export class DataReception implements DataSink {
  readonly #order: FrameOrder;
  readonly #owner: DataOwner;
  readonly #allowances: PeerAllowances;
  readonly #verdicts: StreamVerdicts;
  readonly #window = new ReceiveWindow(INITIAL_WINDOW_BYTES);

  // The DATA frame that is being read.
  #dataStream: Http2Stream | undefined;
  #dataFlags = 0;
  #dataLength = 0;
  /** Bytes of its payload without padding: still to come, and received. */
  #dataLeft = 0;
  #dataGot = 0;
  #padLengthIsNext = false;

  constructor(order: FrameOrder, owner: DataOwner, allowances: PeerAllowances, verdicts: StreamVerdicts) {
    this.#order = order;
    this.#owner = owner;
    this.#allowances = allowances;
    this.#verdicts = verdicts;
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
    this.#order.checkOrder(FrameType.DATA, id);
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
    if (this.#dataFlags & Flag.END_STREAM) this.#verdicts.complete(stream);
    else this.#owner.carrier.reopenWindow(stream);
  }

  #checkEmptyData(): void {
    if ((this.#dataFlags & Flag.END_STREAM) === 0) this.#allowances.spend(NUISANCE, 'empty DATA');
  }

  #checkDribble(stream: Http2Stream | undefined): void {
    if (this.#dataGot === 0 || this.#dataGot >= USEFUL_DATA_BYTES) return;
    if (stream?.exchange?.isInside ?? true) this.#allowances.spend(SMALL_NUISANCE, 'tiny DATA');
  }

  #takesData(id: number, length: number): Http2Stream | undefined {
    const { streams } = this.#owner;
    const stream = streams.get(id);
    switch (reception('DATA', streams.stateOf(id))) {
      case Reception.VIOLATION:
        throw protocolError(`DATA on stream ${id}, which is idle`);
      case Reception.STREAM_CLOSED:
        this.#verdicts.punish(id, ErrorCode.STREAM_CLOSED);
        return undefined;
      case Reception.TAKE:
        if (stream?.window.receive(length)) return stream;
        this.#verdicts.punish(id, ErrorCode.FLOW_CONTROL_ERROR);
        return undefined;
      default:
        return undefined;
    }
  }
}
