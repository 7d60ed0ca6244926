import type { ChannelCredentials, ChannelOptions } from '@grpc/grpc-js';
import type { InferenceError } from './inference-error.ts';
import type { Inputs, RequestOptions } from './inference-request.ts';
import type { InferenceResult } from './inference-result.ts';
import type { Interceptor } from './outgoing-call.ts';
import type { PemSource } from './pem.ts';
import type { RetryOptions } from './retry-policy.ts';

export interface ClientOptions {
  /** Deadline of calls that name none, in milliseconds; retries are within it. Without it, calls wait for ever. */
  readonly deadlineMs?: number | undefined;
  /**
   * Tries failed calls again, `true` with the defaults. Off by default: behind a mesh the sidecar does it, and only one layer should.
   * Streams and failures that the caller caused are never tried again.
   */
  readonly retry?: RetryOptions | boolean | undefined;
  /** Speaks TLS; `{}` trusts the system's root certificates. Cleartext by default, unless the address starts with `grpcs://`. */
  readonly tls?: TlsOptions | undefined;
  /** Sent with each call; the metadata of a call overrides it. */
  readonly metadata?: CallOptions['metadata'];
  /** Run around each call, the first outermost. */
  readonly interceptors?: readonly Interceptor[] | undefined;
  /** How gRPC spreads calls over the addresses of one name, such as a headless Service; `pick_first` by default. */
  readonly balancing?: 'pick_first' | 'round_robin' | undefined;
  /** `credentials.createSsl(…)` of `@grpc/grpc-js`, for what `tls` has no option for. */
  readonly credentials?: ChannelCredentials | undefined;
  /** Options of the gRPC channel, such as keepalive. The size of messages is unlimited unless they limit it. */
  readonly channelOptions?: ChannelOptions | undefined;
}

/** Each the path of a PEM file, or PEM itself. */
export interface TlsOptions {
  /** Root certificates to trust instead of the system's. */
  readonly ca?: PemSource | undefined;
  /** Certificate of the client, for mTLS, with its key. */
  readonly cert?: PemSource | undefined;
  readonly key?: PemSource | undefined;
}

export interface CallOptions {
  /** Deadline of the call, in milliseconds. The server receives it and never runs a request that would come too late. */
  readonly deadlineMs?: number | undefined;
  /** Cancels the call, in the server too; it then fails with CANCELLED, and the signal's reason as the cause. */
  readonly signal?: AbortSignal | undefined;
  /** Sent as gRPC metadata: a trace context, a token, a header that a mesh routes by. A value of `…-bin` is base64. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

export interface ModelCallOptions extends CallOptions {
  readonly version?: string | undefined;
}

/** Without `model`, the server as a whole. */
export interface ReadyOptions extends ModelCallOptions {
  readonly model?: string | undefined;
}

export interface LoadOptions extends CallOptions {
  /** A `ModelConfig` as JSON, in place of the file in the repository. */
  readonly config?: string | undefined;
}

export interface UnloadOptions extends CallOptions {
  /** Whether the models of an ensemble's steps go too, where no other ensemble needs them. */
  readonly dependents?: boolean | undefined;
}

export interface InferOptions extends CallOptions, RequestOptions {
  /** Asks where the time went: `InferenceResult.timing` has the answer, if the server is a tensorgate. */
  readonly timing?: boolean | undefined;
}

/** One inference of a stream. */
export interface StreamRequest extends RequestOptions {
  readonly model: string;
  readonly inputs: Inputs;
}

/**
 * One answer of a stream; a request that failed does not end the stream. Its error has the status and the reason of the server where
 * the server says them, as tensorgate does; otherwise the status is UNKNOWN.
 */
export type StreamAnswer =
  | { readonly kind: 'result'; readonly id: string; readonly result: InferenceResult }
  | { readonly kind: 'error'; readonly id: string; readonly error: InferenceError };
