/** The seam between a gRPC transport and the rest of the gateway. Nothing behind it imports a gRPC library. */

import type { LentMemory } from '../../http2/lent-memory.ts';
import type { Peer } from '../../http2/peer.ts';
import type { Shape } from '../../wire/tensor.ts';
import type { TensorBytes } from '../../wire/tensor-bytes.ts';
import { InferError, type StatusCode } from '../errors.ts';
import type { TransportGauges } from '../ops/gateway-state.ts';

/** An absolute moment on the monotonic clock of `performance.now()`, in milliseconds; `Infinity` where there is none. */
export type Deadline = number;

/** Trailing metadata, lower-case keys; a `-bin` key takes bytes. */
export type Trailers = Readonly<Record<string, string | Uint8Array>>;

export type CancelReason = 'client' | 'deadline' | 'connection';

/** A step of an ensemble that gave its outputs. */
export interface EndedStep {
  readonly model: string;
  readonly outputs: readonly { readonly name: string; readonly shape: Shape }[];
}

/**
 * One gRPC call, as everything behind the transport may see it.
 *
 * CALL-1: a call ends exactly once; whatever would end it, or send something, after that does nothing.
 * CALL-2: `onCancel` is called at most once, and only for a call that had not ended.
 * CALL-3: an error thrown by a handler ends its own call, never the connection.
 */
export interface Call {
  /** `/package.Service/Method`, as the client sent it. */
  readonly path: string;
  /** Unary: the client's deadline, clamped to the server's maximum, or the server's default. Streaming: the client's, or none. */
  readonly deadline: Deadline;
  /** Whether the client named the deadline. Otherwise it is the server's default, or there is none. */
  readonly namesDeadline: boolean;
  /** Time that the answer needs on its way to the client, in milliseconds, measured (`way-back.ts`). Part of the deadline. */
  readonly wayBackMs: number;
  /** The client is gone or the deadline has passed, before the call had ended. */
  readonly cancelled: boolean;
  /** The streaming call that this is one request of, where it is not a call of its own. */
  readonly stream?: Call;
  /** Only set if the transport knows it. */
  readonly peer?: Peer;
  /** The protocol that the client speaks; gRPC where it is absent. */
  readonly via?: 'rest';
  /** The client's call that this is a share of, and the model that it went to: an ensemble, a model with a cache, or one that split it. */
  readonly step?: { readonly of: Call; readonly ensemble: string };
  /** The version of a code model whose run makes this call, directly or through an ensemble. */
  readonly caller?: { readonly name: string; readonly version: string } | undefined;
  /** Observes the outputs of each step of an ensemble that the call goes to, when the step has ended. */
  onStep?(step: EndedStep): void;
  /** The first value of a metadata key (lower-case); `-bin` keys give bytes. */
  get(name: string): string | Uint8Array | undefined;
  /** Keys of the metadata. */
  keys(): Iterable<string>;

  /** Has one holder at a time: a service that handles streams, or the waiter that stands for the request (`waiter.ts`). */
  onCancel: ((reason: CancelReason) => void) | undefined;
  /**
   * Ends the call with a status other than OK. `text` is bounded and made well-formed here (see `boundedText`).
   * @param failure where the status comes from, for those who watch, and for its pushback; `failWith` gives it.
   */
  fail(code: StatusCode, text: string, trailers?: Trailers, failure?: InferError): void;
}

/** Its handler starts when the request is complete. */
export interface UnaryCall extends Call {
  /** The request. Not copied: it may be a view, valid for as long as it is referenced. */
  readonly message: Uint8Array;
  /** Raw tensors of a method with `landsTensors` that are not in `message`; the method's to release. */
  readonly tensors?: readonly TensorBytes[] | undefined;
  /**
   * Ends the call with OK.
   * @param chunks the parts of one message. They must not change until `memory` is given back, and without it never
   * @param memory what they are views of, where its owner may use it again
   */
  reply(chunks: readonly Uint8Array[], trailers?: Trailers, memory?: LentMemory): void;
  /**
   * Frees the memory of the request now instead of at the next collection, if it is a buffer of its own. Call it only when
   * `message` and its views are unused, also by pending writes: all of them are empty afterwards.
   */
  discardMessage(): void;
}

/** Its handler starts at the headers; nothing comes before the handler has returned. */
export interface StreamingCall extends Call {
  /** @param tensors as `UnaryCall.tensors` */
  onMessage: ((message: Uint8Array, tensors?: readonly TensorBytes[]) => void) | undefined;
  /** The client sends no more messages. */
  onEnd: (() => void) | undefined;
  /** There is room again after `write` said false. */
  onDrain: (() => void) | undefined;
  /** Sends one message; false: wait for `onDrain` before the next. */
  write(chunks: readonly Uint8Array[]): boolean;
  end(trailers?: Trailers): void;
  /** No `onMessage` and no `onEnd` until `resume`; the peer's flow-control window is not reopened. */
  pause(): void;
  resume(): void;
}

/**
 * Checks a call at its head, before its message arrives: a call without permission, or one that cannot be served now, is
 * refused at once. A screen does not end the call itself.
 */
export type Screen = (call: Call) => InferError | undefined;

export type Method = {
  readonly screen?: Screen | undefined;
  /** Longest request message of this RPC, in bytes, where that is less than the server's limit. */
  readonly maxMessageBytes?: number | undefined;
  /** Its messages are inference requests: their raw tensors may come beside them, landed. */
  readonly landsTensors?: true;
  /** Setting that lifts that limit, for the text of an error. */
  readonly messageLimitSetting?: string;
} & (
  | { readonly kind: 'unary'; handle(call: UnaryCall): void }
  | { readonly kind: 'streaming'; handle(call: StreamingCall): void }
);

/** Why `method` does not take the call, if so. A screen that throws refuses. */
export function screened(call: Call, { screen }: Method): InferError | undefined {
  try {
    return screen?.(call);
  } catch (thrown) {
    return InferError.from(thrown);
  }
}

/** The services of the server: from `/package.Service/Method` to its method. */
export type Routes = ReadonlyMap<string, Method>;

export interface TransportOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Longest accepted request message of any RPC, in bytes; also the limit of what a compressed one may grow to. */
  readonly maxMessageBytes: number;
  readonly maxConcurrentStreams: number;
  /** Deadline of a unary call that names none, in milliseconds. A streaming call may live as long as its connection. */
  readonly defaultDeadlineMs: number;
  /** No deadline of a unary call is longer than this, in milliseconds. */
  readonly maxDeadlineMs: number;
}

export interface Transport {
  readonly port: number;
  /** `undefined` if unknown. */
  readonly gauges?: TransportGauges;
  /**
   * Closes the listener and sends GOAWAY; resolves when every call is answered and every connection closed, at the latest
   * after `graceMs`: calls that are unanswered shortly before fail with UNAVAILABLE.
   */
  drain(graceMs: number): Promise<void>;
}

/** Starts a transport. Rejects where the address cannot be bound. */
export type Listen = (options: TransportOptions, routes: Routes) => Promise<Transport>;
