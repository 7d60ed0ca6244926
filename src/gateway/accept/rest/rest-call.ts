/** A REST request as the rest of the gateway knows calls. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { InferError, Status, type StatusCode } from '../../errors.ts';
import type { Call, CancelReason, Deadline } from '../call.ts';
import { publishEnd, publishStart } from '../call-events.ts';

export class RestCall implements Call {
  readonly path: string;
  readonly deadline: Deadline;
  onCancel: ((reason: CancelReason) => void) | undefined;
  /** Rejects when the call is cancelled while `onCancel` has no listener: its body is still being read. */
  readonly givenUp: Promise<never>;
  readonly #request: IncomingMessage;
  readonly #startedAt = performance.now();
  readonly #timer: NodeJS.Timeout;
  #ended = false;
  #cancelled = false;
  readonly #giveUp: (error: InferError) => void;

  /**
   * @param path as gRPC would have it: metrics and traces know calls by it.
   * @param limitMs what the call may take.
   */
  constructor(path: string, request: IncomingMessage, response: ServerResponse, limitMs: number) {
    this.path = path;
    this.#request = request;
    this.deadline = this.#startedAt + limitMs;
    const { promise, reject } = Promise.withResolvers<never>();
    this.givenUp = promise;
    // It may reject when no one waits for the body any longer.
    promise.catch(() => {});
    this.#giveUp = reject;
    this.#timer = setTimeout(() => this.#cancel('deadline'), limitMs);
    response.once('close', () => this.#cancel('client'));
    publishStart(this);
  }

  get cancelled(): boolean {
    return this.#cancelled;
  }

  get(name: string): string | undefined {
    const value = this.#request.headers[name];
    return Array.isArray(value) ? value[0] : value;
  }

  keys(): Iterable<string> {
    return Object.keys(this.#request.headers);
  }

  succeed(): void {
    this.#end(Status.OK);
  }

  fail(code: StatusCode, text: string, _trailers?: unknown, failure?: InferError): void {
    this.#end(code, text, failure);
  }

  #end(code: StatusCode, text?: string, failure?: InferError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.onCancel = undefined;
    clearTimeout(this.#timer);
    publishEnd(this, { code, text, failure, startedAt: this.#startedAt });
  }

  #cancel(reason: CancelReason): void {
    if (this.#ended || this.#cancelled) return;
    this.#cancelled = true;
    const tell = this.onCancel;
    this.onCancel = undefined;
    // The listener fails the call with an error of its own.
    if (tell !== undefined) {
      tell(reason);
      return;
    }
    if (reason === 'deadline') {
      this.#giveUp(new InferError('deadline_exceeded', 'the deadline passed before the body had come whole'));
      return;
    }
    const error = new InferError('cancelled', 'the caller went away');
    this.#giveUp(error);
    this.fail(error.status, error.message, undefined, error);
  }
}
