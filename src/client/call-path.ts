/**
 * The path of a call: interceptors, trace context, then attempts. Each attempt takes a connection, and a failed attempt may be
 * followed by another within the deadline of the call.
 */

import type { Metadata } from '@grpc/grpc-js';
import type { Attempt } from './attempt.ts';
import { ChannelPool } from './channel-pool.ts';
import { mergeMetadata, toMetadata } from './channel-settings.ts';
import type { CallOptions, ClientOptions } from './client-options.ts';
import { InferenceError } from './inference-error.ts';
import { type Interceptor, intercept, type OutgoingCall } from './outgoing-call.ts';
import { pause } from './pause.ts';
import { RetryPolicy } from './retry-policy.ts';
import { injectTraceContext } from './trace-propagation.ts';
import { type UnaryMethod, unaryCall } from './unary-call.ts';

export interface PathOptions extends CallOptions {
  readonly model?: string | undefined;
  /** Running the call twice does no harm: it may be tried again when no one knows whether it ran. */
  readonly isRepeatable?: boolean;
}

export interface Answer<Response> {
  readonly response: Response;
  readonly trailers: Metadata;
}

export class CallPath {
  readonly #pool: ChannelPool;
  readonly #retry: RetryPolicy;
  readonly #deadlineMs: number | undefined;
  readonly #metadata: CallOptions['metadata'];
  readonly #interceptors: readonly Interceptor[];

  constructor(addresses: string | readonly string[], options: ClientOptions) {
    this.#retry = new RetryPolicy(options.retry);
    this.#deadlineMs = options.deadlineMs;
    this.#metadata = options.metadata;
    this.#interceptors = options.interceptors ?? [];
    this.#pool = new ChannelPool(addresses, options);
  }

  get connected(): boolean {
    return this.#pool.connected;
  }

  async unary<Request, Response>(
    method: UnaryMethod<Request, Response>,
    request: Request,
    options: PathOptions,
  ): Promise<Answer<Response>> {
    let answer: Answer<Response> | undefined;
    const call = this.#outgoing(method.path, { ...options, deadlineMs: options.deadlineMs ?? this.#deadlineMs });
    await intercept(this.#interceptors, call, async (changed) => {
      answer = await this.#attempts(changed, options.isRepeatable ?? true, (attempt) =>
        unaryCall(method, request, attempt, changed.model),
      );
    });
    if (answer === undefined) throw new TypeError(`an interceptor resolved without a call of next for ${call.method}`);
    return answer;
  }

  /** Runs `run` for a stream, which is never tried again: some of its messages were answered. */
  async stream(path: string, options: CallOptions, run: (attempt: Attempt) => Promise<void>): Promise<void> {
    await intercept(this.#interceptors, this.#outgoing(path, options), async (call) => {
      const deadlineAt = deadlineOf(call);
      const lease = await this.#pool.acquire(deadlineAt, call.signal);
      try {
        await run({ ...call, grpc: lease.grpc, metadata: toMetadata(call.metadata), deadlineAt });
      } finally {
        lease.release();
      }
    });
  }

  /** Closes the connections when the calls under way have ended. */
  close(): void {
    this.#pool.close();
  }

  /** Waits for the calls under way, then closes the connections. */
  async finish(): Promise<void> {
    await this.#pool.untilIdle();
    this.#pool.close();
  }

  #outgoing(path: string, { model, metadata, deadlineMs, signal }: PathOptions): OutgoingCall {
    const merged = mergeMetadata(this.#metadata, metadata);
    injectTraceContext(merged);
    return { method: path.slice(path.lastIndexOf('/') + 1), model, metadata: merged, deadlineMs, signal };
  }

  async #attempts<Result>(
    call: OutgoingCall,
    isRepeatable: boolean,
    run: (attempt: Attempt) => Promise<Result>,
  ): Promise<Result> {
    const deadlineAt = deadlineOf(call);
    const { signal } = call;
    for (let attempt = 1; ; attempt += 1) {
      const metadata = toMetadata(call.metadata);
      // gRFC A6: the server sees that this is no first attempt.
      if (attempt > 1) metadata.set('grpc-previous-rpc-attempts', String(attempt - 1));
      const lease = await this.#pool.acquire(deadlineAt, signal);
      let waitMs: number | undefined;
      try {
        const result = await run({ grpc: lease.grpc, metadata, deadlineAt, signal });
        this.#retry.answered();
        return result;
      } catch (error) {
        if (!(error instanceof InferenceError)) throw error;
        const leftMs = (deadlineAt ?? Number.POSITIVE_INFINITY) - performance.now();
        waitMs = this.#retry.waitMs(error, attempt, leftMs, isRepeatable);
        if (waitMs === undefined) throw error;
      } finally {
        lease.release();
      }
      await pause(waitMs, signal);
    }
  }
}

function deadlineOf({ deadlineMs }: OutgoingCall): number | undefined {
  return deadlineMs === undefined ? undefined : performance.now() + deadlineMs;
}
