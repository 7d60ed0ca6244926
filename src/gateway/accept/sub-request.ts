import type { InferError, StatusCode } from '../errors.ts';
import type { Call, CancelReason, Deadline, Trailers } from './call.ts';

/** One of the requests that a call carries: it has the metadata and the deadline of the call, and is cancelled with it. */
export class SubRequest implements Call {
  readonly stream: Call;
  readonly path: string;
  readonly deadline: Deadline;
  readonly namesDeadline: boolean;
  onCancel: ((reason: CancelReason) => void) | undefined;

  constructor(stream: Call) {
    this.stream = stream;
    this.path = stream.path;
    this.deadline = stream.deadline;
    this.namesDeadline = stream.namesDeadline;
  }

  get wayBackMs(): number {
    return this.stream.wayBackMs;
  }

  get cancelled(): boolean {
    return this.stream.cancelled;
  }

  get(name: string): string | Uint8Array | undefined {
    return this.stream.get(name);
  }

  keys(): Iterable<string> {
    return this.stream.keys();
  }

  /** A status belongs to the call: it ends all of it. */
  fail(code: StatusCode, text: string, trailers?: Trailers, failure?: InferError): void {
    this.stream.fail(code, text, trailers, failure);
  }
}
