import { Claim } from '../../../http2/byte-budget.ts';
import { ErrorCode } from '../../../http2/error-code.ts';
import type { Exchange } from '../../../http2/exchange.ts';
import type { Http2Stream } from '../../../http2/stream.ts';
import { type DeadlineWheel, Expiring } from './deadline-wheel.ts';

const BODY = Buffer.from('This port speaks gRPC.\n');
/** Bytes of a body that are read before the answer goes out anyway. */
const PATIENCE_BYTES = 64 * 1024;
/** Memory charged for a refusal until it is over: its objects and its stream's. */
const REFUSAL_BYTES = 2 * 1024;

/**
 * The answer to a request that is not gRPC. It waits for the end of the request, because many HTTP clients do not look at an
 * answer before they have sent theirs; but not for ever.
 */
export class HttpRefusal extends Expiring implements Exchange {
  readonly deadline: number;
  readonly #stream: Http2Stream;
  readonly #httpStatus: number;
  readonly #deadlines: DeadlineWheel;
  readonly isWork = false;
  readonly resetCost = 1;
  readonly patienceMs = 0;
  #heldBytes = 0;
  #answered = false;

  constructor(stream: Http2Stream, httpStatus: number, deadline: number, deadlines: DeadlineWheel) {
    super();
    this.deadline = deadline;
    this.#stream = stream;
    this.#httpStatus = httpStatus;
    this.#deadlines = deadlines;
    stream.exchange = this;
    if (stream.tryTake(REFUSAL_BYTES, Claim.SMALL)) this.#heldBytes = REFUSAL_BYTES;
    deadlines.add(this);
    if (this.#heldBytes === 0) this.receiveEnd();
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  look(): void {}

  evict(): void {
    this.receiveEnd();
  }

  get isInside(): boolean {
    return true;
  }

  receive(): void {
    if (this.#stream.received > PATIENCE_BYTES) this.receiveEnd();
  }

  receiveEnd(): void {
    if (this.#answered) return;
    this.#answered = true;
    this.#giveBack();
    this.#stream.sendPlain(this.#httpStatus, BODY);
  }

  wanted(): number {
    return PATIENCE_BYTES;
  }

  drained(): void {}

  abandon(): void {
    this.#stream.reset(ErrorCode.CANCEL);
  }

  over(): void {
    this.#deadlines.remove(this);
    this.#giveBack();
  }

  #giveBack(): void {
    this.#stream.give(this.#heldBytes);
    this.#heldBytes = 0;
  }

  override expire(): void {
    this.#stream.reset(ErrorCode.CANCEL);
  }
}
