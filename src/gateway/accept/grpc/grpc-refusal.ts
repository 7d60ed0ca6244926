import type { Exchange } from '../../../http2/exchange.ts';
import { boundedText, type InferError } from '../../errors.ts';
import type { Trailers } from '../call.ts';
import type { GrpcStream } from './grpc-stream.ts';

/** The answer to a gRPC request that no method gets. It goes out at once: a streaming client may wait for it. */
export class GrpcRefusal implements Exchange {
  readonly heldBytes = 0;
  readonly isWork = false;
  readonly resetCost = 1;
  readonly patienceMs = Number.POSITIVE_INFINITY;

  constructor(stream: GrpcStream, failure: InferError, trailers?: Trailers) {
    stream.exchange = this;
    const text = boundedText(failure.message);
    stream.sendEnd({ code: failure.status, text, trailers, failure });
  }

  look(): void {}
  evict(): void {}

  get isInside(): boolean {
    return true;
  }

  receive(): void {}
  receiveEnd(): void {}

  wanted(): number {
    return 0;
  }

  drained(): void {}
  abandon(): void {}
  over(): void {}
}
