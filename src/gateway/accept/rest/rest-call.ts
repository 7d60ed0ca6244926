/** A REST request as the rest of the gateway knows calls. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Peer } from '../../../http2/peer.ts';
import type { WayBack } from '../../../http2/way-back.ts';
import { InferError, Status, type StatusCode } from '../../errors.ts';
import type { Call, CancelReason, Deadline } from '../call.ts';
import { publishEnd, publishStart } from '../call-events.ts';

/** A request of a connection, and its answer. */
interface RestExchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly wayBack: WayBack;
}

export class RestCall implements Call {
  readonly path: string;
  readonly deadline: Deadline;
  readonly peer: Peer;
  readonly via = 'rest';
  /** REST has no deadline of its own; the parameter `timeout` is a term of the request. */
  readonly namesDeadline = false;
  onCancel: ((reason: CancelReason) => void) | undefined;
  readonly #request: IncomingMessage;
  readonly #wayBack: WayBack;
  readonly #startedAt = performance.now();
  readonly #timer: NodeJS.Timeout;
  #ended = false;
  #cancelled = false;
  #giveUp: (error: InferError) => void = () => {};

  /**
   * @param path as gRPC would have it: metrics and traces know calls by it.
   * @param limitMs what the call may take.
   */
  constructor(path: string, { request, response, wayBack }: RestExchange, limitMs: number) {
    this.path = path;
    this.#wayBack = wayBack;
    this.#request = request;
    const { remoteAddress, remotePort } = request.socket;
    this.peer = { address: `${remoteAddress}:${remotePort}` };
    this.deadline = this.#startedAt + limitMs;
    this.#timer = setTimeout(() => this.#cancel('deadline'), limitMs);
    response.once('close', () => this.#cancel('client'));
    publishStart(this);
  }

  get wayBackMs(): number {
    return this.#wayBack.ms;
  }

  get cancelled(): boolean {
    return this.#cancelled;
  }

  get(name: string): string | undefined {
    const { headers } = this.#request;
    // The name is a setting: `constructor` is one that every object inherits.
    const value = Object.hasOwn(headers, name) ? headers[name] : undefined;
    return Array.isArray(value) ? value[0] : value;
  }

  keys(): Iterable<string> {
    return Object.keys(this.#request.headers);
  }

  /** Resolves with `work`; rejects when the call is cancelled first, unless `onCancel` has a listener by then. */
  during<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#giveUp = reject;
      work.then(resolve, reject);
    });
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
    publishEnd(this, { code, text, failure }, this.#startedAt);
  }

  #cancel(reason: CancelReason): void {
    if (this.#ended || this.#cancelled) return;
    this.#cancelled = true;
    const notify = this.onCancel;
    this.onCancel = undefined;
    // The listener fails the call with an error of its own.
    if (notify !== undefined) {
      notify(reason);
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
