/** A call on its way out, as interceptors see it. */

export interface OutgoingCall {
  /** The RPC, such as `ModelInfer`. */
  readonly method: string;
  /** The model that the call is about, if it is about one. */
  readonly model: string | undefined;
  /** Sent as gRPC metadata; keys are in lower case. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Until the deadline of the call, its retries included, in milliseconds. */
  readonly deadlineMs: number | undefined;
  readonly signal: AbortSignal | undefined;
}

/**
 * Runs around a call: before it, after it, or in its place. It calls `next` with the call, or with a changed one, and resolves when
 * the call has ended; `next` rejects with InferenceError. It runs once for a call, whose retries are inside `next`; for a stream,
 * `next` resolves when the stream has ended.
 *
 * ```ts
 * const timed: Interceptor = async (call, next) => {
 *   const start = performance.now();
 *   await next({ ...call, metadata: { ...call.metadata, authorization: await token() } });
 *   console.log(call.method, call.model, performance.now() - start);
 * };
 * ```
 */
export type Interceptor = (call: OutgoingCall, next: (call: OutgoingCall) => Promise<void>) => Promise<void>;

/** Runs `end` within `interceptors`, the first of them outermost. */
export function intercept(
  interceptors: readonly Interceptor[],
  call: OutgoingCall,
  end: (call: OutgoingCall) => Promise<void>,
): Promise<void> {
  const [first, ...others] = interceptors;
  return first === undefined ? end(call) : first(call, (changed) => intercept(others, changed, end));
}
