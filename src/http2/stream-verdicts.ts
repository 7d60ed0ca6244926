import { ErrorCode } from './error-code.ts';
import type { FrameWriter } from './frame-writer.ts';
import type { PeerAllowances } from './peer-allowances.ts';
import type { Http2Stream } from './stream.ts';
import { afterRequest } from './stream-state.ts';
import type { StreamTable } from './stream-table.ts';

interface VerdictOwner {
  readonly streams: StreamTable;
  readonly writer: FrameWriter;
  readonly carrier: { resetStream(stream: Http2Stream, code: ErrorCode): void };
}

/** Decides how a stream ends for frames that its peer sent. */
export class StreamVerdicts {
  readonly #owner: VerdictOwner;
  readonly #allowances: PeerAllowances;

  constructor(owner: VerdictOwner, allowances: PeerAllowances) {
    this.#owner = owner;
    this.#allowances = allowances;
  }

  /** The peer has ended its request. */
  complete(stream: Http2Stream): void {
    // Section 8.1.1.
    if (stream.contentLength !== undefined && stream.contentLength !== stream.received) {
      this.punish(stream.id, ErrorCode.PROTOCOL_ERROR);
      return;
    }
    stream.state = afterRequest(stream.state);
    stream.exchange?.receiveEnd();
  }

  /** Section 8.7: the client may send it again. */
  refuse(id: number): void {
    this.#owner.writer.resetStream(id, ErrorCode.REFUSED_STREAM);
    this.#owner.streams.remember(id);
  }

  /** Resets a stream, open or not, for what its peer did (section 5.4.2). */
  punish(id: number, code: ErrorCode): void {
    const { streams, writer } = this.#owner;
    const stream = streams.get(id);
    if (stream === undefined) {
      writer.resetStream(id, code);
      streams.remember(id);
    } else {
      this.#owner.carrier.resetStream(stream, code);
    }
    this.#allowances.spendViolation(stream);
  }
}
