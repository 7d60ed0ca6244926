import { type Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { type FieldViolation, readErrorDetails } from './error-details.ts';

export interface InferenceErrorOptions {
  readonly model?: string | undefined;
  readonly pushbackMs?: number | undefined;
  readonly reason?: string | undefined;
  readonly fieldViolations?: readonly FieldViolation[] | undefined;
  readonly cause?: unknown;
}

/** A call that was not answered with OK. `message` is `[STATUS] model: text`, or `[STATUS] text` where no model is concerned. */
export class InferenceError extends Error {
  /** The gRPC status code, such as 14. */
  readonly code: number;
  /** Its name, such as `UNAVAILABLE`. */
  readonly status: string;
  /** The model that the call was about, if it was about one. */
  readonly model: string | undefined;
  /** The text of the server, or of the client where the call did not reach one. */
  readonly details: string;
  /** Why the server refused, such as `queue_full` (docs/errors.md); `undefined` where it gives no reason, as other servers do. */
  readonly reason: string | undefined;
  /**
   * How long the server asks to wait before the call is tried again, in milliseconds; negative forbids another try
   * (gRFC A6, trailer `grpc-retry-pushback-ms`). `undefined` where it says nothing.
   */
  readonly pushbackMs: number | undefined;
  /** The fields of the request that the server rejects; empty for other failures, and from servers that name none. */
  readonly fieldViolations: readonly FieldViolation[];

  constructor(code: number, details: string, options: InferenceErrorOptions = {}) {
    const name = status[code] ?? `code ${code}`;
    const subject = options.model === undefined || options.model === '' ? '' : `${options.model}: `;
    super(`[${name}] ${subject}${details}`, { cause: options.cause });
    this.name = 'InferenceError';
    this.code = code;
    this.status = name;
    this.model = options.model;
    this.details = details;
    this.reason = options.reason;
    this.pushbackMs = options.pushbackMs;
    this.fieldViolations = options.fieldViolations ?? [];
  }

  /**
   * Whether the same call may succeed later: the server is UNAVAILABLE, or names a wait. Never true for a failure that the caller
   * caused, or whose retry the server forbids.
   */
  get retryable(): boolean {
    if (this.pushbackMs !== undefined) return this.pushbackMs >= 0;
    return this.code === status.UNAVAILABLE;
  }

  /** The error of a call that ended with `error`. Where `signal`, the caller's own, cancelled it, its reason is the cause. */
  static from(error: ServiceError, model: string | undefined, signal?: AbortSignal): InferenceError {
    const { reason, retryDelayMs, fieldViolations } = readErrorDetails(error.metadata);
    return new InferenceError(error.code, error.details, {
      model,
      reason,
      fieldViolations,
      pushbackMs: readPushback(error.metadata) ?? retryDelayMs,
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
