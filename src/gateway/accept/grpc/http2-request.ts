/** The request of a gRPC call on a stream: its head, the memory that is charged for it, and the pace at which it comes. */

import { type Claim, claimOf } from '../../../http2/byte-budget.ts';
import type { Peer } from '../../../http2/peer.ts';
import type { TensorBytes } from '../../../wire/tensor-bytes.ts';
import { InferError } from '../../errors.ts';
import { patienceAfter } from '../pace.ts';
import type { CallHead } from './call-head.ts';
import type { CallTerms, CallTools } from './call-terms.ts';
import { Expiring } from './deadline-wheel.ts';
import type { GrpcStream } from './grpc-stream.ts';
import type { Inflated } from './inflater.ts';
import { limitReached } from './limit-events.ts';
import { MessageReader, type MessageSink } from './message-reader.ts';
import { noRoom } from './no-room.ts';

/** The lower half of a call: an object of its own would be one more allocation a call. */
export abstract class Http2Request extends Expiring implements MessageSink {
  protected readonly http2: GrpcStream;
  protected readonly reader: MessageReader;
  protected readonly terms: CallTerms;
  protected readonly tools: CallTools;
  #heldBytes: number;
  /** `undefined` until first read. */
  #receivedBefore: number | undefined = undefined;
  #patienceMs: number;

  constructor(stream: GrpcStream, terms: CallTerms, tools: CallTools) {
    super();
    this.http2 = stream;
    this.terms = terms;
    this.tools = tools;
    this.#heldBytes = terms.heldBytes;
    this.#patienceMs = tools.limits.messageGraceMs;
    const landing = terms.landsTensors ? tools.landing : undefined;
    this.reader = new MessageReader(this, stream, terms.messageLimit, terms.encoding !== 'identity', landing);
  }

  get path(): string {
    return this.terms.path;
  }

  get deadline(): number {
    return this.terms.deadline;
  }

  get namesDeadline(): boolean {
    return this.terms.head.timeoutMs !== Number.POSITIVE_INFINITY;
  }

  /** The same object for calls with equal header blocks. */
  get head(): CallHead {
    return this.terms.head;
  }

  get peer(): Peer {
    return this.http2.peer;
  }

  get(name: string): string | Uint8Array | undefined {
    return this.terms.head.metadata(name);
  }

  keys(): Iterable<string> {
    return this.terms.head.keys();
  }

  get heldBytes(): number {
    return this.#heldBytes + this.reader.heldBytes;
  }

  get patienceMs(): number {
    return this.isAwaited ? this.#patienceMs : Number.POSITIVE_INFINITY;
  }

  look(elapsedMs: number): void {
    const { received, maySend } = this.http2;
    const bytes = received - (this.#receivedBefore ?? received);
    const isFirst = this.#receivedBefore === undefined;
    this.#receivedBefore = received;
    if (!this.isAwaited) {
      this.#patienceMs = this.tools.limits.messageGraceMs;
    } else if (maySend && !isFirst) {
      // Where the peer may not send, it is we who do not let the rest come.
      const { messageGraceMs: graceMs, minBytesPerSecond } = this.tools.limits;
      this.#patienceMs = patienceAfter(this.#patienceMs, { bytes, elapsedMs }, { graceMs, minBytesPerSecond });
      if (this.#patienceMs <= 0) this.#late();
    }
  }

  abstract takeMessage(
    message: Buffer,
    isCompressed: boolean,
    heldBytes: number,
    tensors?: readonly TensorBytes[],
  ): void;

  /** The peer has begun a message, or a request, that only it can end. */
  protected abstract readonly isAwaited: boolean;

  protected abstract failWith(thrown: unknown): void;

  /** Frees the memory charged for the request. */
  protected release(): void {
    this.reader.close();
    this.letGo(this.#heldBytes);
  }

  /**
   * Counts bytes of the request that are complete, and wait.
   * @throws InferError queue_full
   */
  protected hold(bytes: number, claim: Claim): void {
    if (!this.http2.tryTake(bytes, claim)) throw noRoom();
    this.#heldBytes += bytes;
  }

  /** Takes over memory that the reader has charged. */
  protected keep(bytes: number): void {
    this.#heldBytes += bytes;
  }

  protected letGo(bytes: number): void {
    this.http2.give(bytes);
    this.#heldBytes -= bytes;
  }

  /** Inflates a message under the limit, and holds what it becomes; `done` is not called once the call has ended. */
  protected inflate(message: Buffer, done: Inflated): (() => void) | undefined {
    const { encoding, messageLimit } = this.terms;
    if (encoding === 'identity') return undefined;
    const hold = (bytes: number, total: number): void => this.hold(bytes, claimOf(total));
    const room = { owner: this.http2.peer, limit: messageLimit, hold };
    return this.tools.inflater.inflate(message, encoding, room, done);
  }

  #late(): void {
    limitReached('minBytesPerSecond');
    const { minBytesPerSecond, messageGraceMs } = this.tools.limits;
    const text = `the request is not complete and stands still: fewer than ${minBytesPerSecond} bytes came per second (http2MinBytesPerSecond) for ${messageGraceMs} ms (http2MessageGraceMs)`;
    this.failWith(new InferError('limit_exceeded', text));
  }
}
