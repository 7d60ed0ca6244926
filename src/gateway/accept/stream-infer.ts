/**
 * ModelStreamInfer: many requests on one call.
 *
 * S1: the answers come in the order of the requests.
 * S2: at most 64 requests are unanswered; while they are, no more are read.
 * S3: after the client's half-close the stream ends with OK once the last request is answered.
 * S4: a cancelled stream cancels what it has not answered.
 */

import { InferError, type StatusCode } from '../errors.ts';
import type { Call, CancelReason, Deadline, Method, StreamingCall, Trailers } from './call.ts';
import { failWith } from './failure.ts';

/** From a `ModelInferRequest` to the parts of a `ModelStreamInferResponse`. A rejection ends the stream. */
export type StreamAnswer = (wire: Uint8Array, call: Call) => Promise<readonly Uint8Array[]>;

const MAX_UNANSWERED = 64;

export function streamInferMethod(answer: StreamAnswer): Method {
  return { kind: 'streaming', handle: (call) => new InferStream(call, answer).start() };
}

class InferStream {
  readonly #call: StreamingCall;
  readonly #answer: StreamAnswer;
  /** As they came. The first one holds back the answers of those behind it (S1). */
  readonly #requests: StreamedRequest[] = [];
  #paused = false;
  /** The transport has no room for an answer. */
  #blocked = false;
  #halfClosed = false;

  constructor(call: StreamingCall, answer: StreamAnswer) {
    this.#call = call;
    this.#answer = answer;
  }

  start(): void {
    this.#call.onMessage = (message) => this.#take(message);
    this.#call.onEnd = () => {
      this.#halfClosed = true;
      this.#flush();
    };
    this.#call.onDrain = () => {
      this.#blocked = false;
      this.#flush();
    };
    this.#call.onCancel = (reason) => {
      for (const request of this.#requests) request.onCancel?.(reason);
    };
  }

  #take(message: Uint8Array): void {
    const request = new StreamedRequest(this.#call);
    this.#requests.push(request);
    if (this.#requests.length >= MAX_UNANSWERED) {
      this.#paused = true;
      this.#call.pause();
    }
    this.#answer(message, request).then(
      (chunks) => {
        request.answer = chunks;
        this.#flush();
      },
      (thrown) => failWith(this.#call, InferError.from(thrown)),
    );
  }

  #flush(): void {
    while (!this.#blocked) {
      const answer = this.#requests[0]?.answer;
      if (answer === undefined) break;
      this.#requests.shift();
      this.#blocked = !this.#call.write(answer);
    }
    if (this.#paused && this.#requests.length < MAX_UNANSWERED) {
      this.#paused = false;
      this.#call.resume();
    }
    if (this.#halfClosed && this.#requests.length === 0) this.#call.end();
  }
}

/** One request of a stream: it has the metadata and the deadline of the stream, and is cancelled with it. */
class StreamedRequest implements Call {
  readonly stream: Call;
  readonly path: string;
  readonly deadline: Deadline;
  onCancel: ((reason: CancelReason) => void) | undefined;
  answer: readonly Uint8Array[] | undefined;

  constructor(stream: Call) {
    this.stream = stream;
    this.path = stream.path;
    this.deadline = stream.deadline;
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

  /** A status belongs to the stream: it ends all of it. */
  fail(code: StatusCode, text: string, trailers?: Trailers, failure?: InferError): void {
    this.stream.fail(code, text, trailers, failure);
  }
}
