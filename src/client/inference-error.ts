import { type Metadata, type ServiceError, status } from '@grpc/grpc-js';

/** A call that was not answered with OK. */
export class InferenceError extends Error {
  /** The gRPC status code, such as 14. */
  readonly code: number;
  /** Its name, such as `UNAVAILABLE`. */
  readonly status: string;
  /** The model that the call was about, if it was about one. */
  readonly model: string | undefined;
  /**
   * How long the server asks to wait before the call is tried again, in milliseconds; negative forbids another try
   * (gRFC A6, trailer `grpc-retry-pushback-ms`). `undefined` where it says nothing.
   */
  readonly retryPushbackMs: number | undefined;

  constructor(
    code: number,
    message: string,
    options: { model?: string | undefined; retryPushbackMs?: number | undefined; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.name = 'InferenceError';
    this.code = code;
    this.status = status[code] ?? `code ${code}`;
    this.model = options.model;
    this.retryPushbackMs = options.retryPushbackMs;
  }

  /** The error of a call that ended with `error`. Where `signal`, the caller's own, cancelled it, its reason is the cause. */
  static from(error: ServiceError, model: string | undefined, signal?: AbortSignal): InferenceError {
    return new InferenceError(error.code, error.details, {
      model,
      retryPushbackMs: readPushback(error.metadata),
      cause: error.code === status.CANCELLED && signal?.aborted ? signal.reason : error,
    });
  }
}

/** gRFC A6: what cannot be parsed forbids another try, as a negative number does. */
function readPushback(trailers: Metadata | undefined): number | undefined {
  const text = trailers?.get('grpc-retry-pushback-ms')[0];
  if (text === undefined) return undefined;
  return /^(0|[1-9]\d*)$/.test(String(text)) ? Number(text) : -1;
}
