/**
 * Parameters of the `infer_response` beside an `error_message` of a stream: the status that a unary call would end with. The protocol
 * gives a stream's failed request only a text.
 */
export const STREAM_STATUS = {
  /** `int64`: the gRPC status code. */
  code: 'tensorgate-status',
  /** `string`: the reason, of the closed set. */
  reason: 'tensorgate-reason',
  /** `int64`: as in the trailer `grpc-retry-pushback-ms`; absent where it would be. */
  pushbackMs: 'tensorgate-retry-pushback-ms',
} as const;
