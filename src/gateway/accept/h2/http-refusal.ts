import { type DeadlineWheel, Expiring } from './deadline-wheel.ts';
import { ErrorCode } from './error-code.ts';
import type { Exchange } from './exchange.ts';
import type { Http2Stream } from './http2-stream.ts';

const BODY = Buffer.from('This port speaks gRPC.\n');
/** What of a body is read before the answer goes out anyway. */
const PATIENCE_BYTES = 64 * 1024;

/**
 * The answer to a request that is not gRPC. It waits for the end of the request, because many HTTP clients do not look at an
 * answer before they have sent theirs; but not for ever.
 */
export class HttpRefusal extends Expiring implements Exchange {
  readonly deadline: number;
  readonly #stream: Http2Stream;
  readonly #httpStatus: number;
  readonly #deadlines: DeadlineWheel;
  #answered = false;

  constructor(stream: Http2Stream, httpStatus: number, deadline: number, deadlines: DeadlineWheel) {
    super();
    this.deadline = deadline;
    this.#stream = stream;
    this.#httpStatus = httpStatus;
    this.#deadlines = deadlines;
    stream.exchange = this;
    deadlines.add(this);
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
  }

  override expire(): void {
    this.#stream.reset(ErrorCode.CANCEL);
  }
}
