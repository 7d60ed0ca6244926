/**
 * ModelStreamInfer: many requests on one call.
 *
 * STREAM-1: the answers come in the order of the requests; all answers of a request come together.
 * STREAM-2: at most 64 requests are unanswered; while they are, or while the client does not read, no more are read.
 * STREAM-3: after the client's half-close the stream ends with OK once the last request is answered.
 * STREAM-4: a cancelled stream cancels what it has not answered.
 * STREAM-5: an answer is released once: when the transport has it, or when the stream has ended before.
 */

import type { TensorBytes } from '../../wire/tensor-bytes.ts';
import { InferError } from '../errors.ts';
import type { Call, Method, StreamingCall } from './call.ts';
import { failWith } from './failure.ts';
import { SubRequest } from './sub-request.ts';

/** An answer that waits for the answers before it, and for a client that reads. */
export interface StreamReply {
  /** The parts of an encoded `ModelStreamInferResponse`. */
  readonly chunks: readonly Uint8Array[];
  /** Gives back the room that it takes meanwhile. */
  release(): void;
}

/** One request of a stream. */
export interface StreamedMessage {
  /** An encoded `ModelInferRequest`. */
  readonly wire: Uint8Array;
  readonly tensors: readonly TensorBytes[] | undefined;
  readonly call: Call;
  /** Takes an answer before the last one. Resolves when the transport has it, or when the stream has ended. */
  deliver(reply: StreamReply): Promise<void>;
}

/** From a request to its last answer; `undefined` if the answers before were all. A rejection ends the stream. */
export type StreamAnswer = (message: StreamedMessage) => Promise<StreamReply | undefined>;

const MAX_UNANSWERED = 64;

export function streamInferMethod(answer: StreamAnswer): Method {
  return { kind: 'streaming', landsTensors: true, handle: (call) => new InferStream(call, answer).start() };
}

class InferStream {
  readonly #call: StreamingCall;
  readonly #answer: StreamAnswer;
  /** As they came. The first one holds back the answers of those behind it (STREAM-1). */
  readonly #requests: StreamedRequest[] = [];
  #paused = false;
  /** The transport has no room for an answer. */
  #blocked = false;
  #halfClosed = false;
  /** Cancelled or failed: nothing is sent any more. */
  #ended = false;

  constructor(call: StreamingCall, answer: StreamAnswer) {
    this.#call = call;
    this.#answer = answer;
  }

  start(): void {
    this.#call.onMessage = (message, tensors) => this.#take(message, tensors);
    this.#call.onEnd = () => {
      this.#halfClosed = true;
      this.#flush();
    };
    this.#call.onDrain = () => {
      this.#blocked = false;
      this.#flush();
    };
    this.#call.onCancel = (reason) => {
      for (const { onCancel } of this.#abandon()) onCancel?.(reason);
    };
  }

  #take(message: Uint8Array, tensors: readonly TensorBytes[] | undefined): void {
    const request = new StreamedRequest(this.#call);
    this.#requests.push(request);
    this.#pauseOrResume();
    const deliver = (reply: StreamReply): Promise<void> => this.#deliver(request, reply);
    this.#answer({ wire: message, tensors, call: request, deliver }).then(
      (answer) => {
        request.isAnswered = true;
        if (answer === undefined) this.#flush();
        else void this.#deliver(request, answer);
      },
      (thrown) => {
        this.#abandon();
        failWith(this.#call, InferError.from(thrown));
      },
    );
  }

  #deliver(request: StreamedRequest, reply: StreamReply): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        reply.release();
        resolve();
      };
      if (this.#ended) {
        done();
        return;
      }
      request.answers.push({ chunks: reply.chunks, release: done });
      this.#flush();
    });
  }

  /** Releases the answers that will not be sent. Gives the requests that are not answered. */
  #abandon(): StreamedRequest[] {
    this.#ended = true;
    const requests = this.#requests.splice(0);
    for (const { answers } of requests) for (const answer of answers.splice(0)) answer.release();
    return requests.filter(({ isAnswered }) => !isAnswered);
  }

  #pauseOrResume(): void {
    const paused = this.#blocked || this.#requests.length >= MAX_UNANSWERED;
    if (paused === this.#paused) return;
    this.#paused = paused;
    if (paused) this.#call.pause();
    else this.#call.resume();
  }

  #flush(): void {
    for (let [request] = this.#requests; request !== undefined && !this.#blocked; [request] = this.#requests) {
      const answer = request.answers.shift();
      if (request.isAnswered && request.answers.length === 0) this.#requests.shift();
      else if (answer === undefined) break;
      if (answer === undefined) continue;
      this.#blocked = !this.#call.write(answer.chunks);
      answer.release();
    }
    this.#pauseOrResume();
    if (this.#halfClosed && this.#requests.length === 0) this.#call.end();
  }
}

/** One request of a stream. */
class StreamedRequest extends SubRequest {
  /** Answers that wait to be written. */
  readonly answers: StreamReply[] = [];
  /** Its last answer is among them, or was written. */
  isAnswered = false;
}
