/** The seam between a gRPC transport and the rest of the gateway. Nothing behind it imports a gRPC library. */

import type { StatusCode } from '../errors.ts';

/** An absolute moment on the monotonic clock of `performance.now()`, in milliseconds; `Infinity` where there is none. */
export type Deadline = number;

/** Trailing metadata, lower-case keys; a `-bin` key takes bytes. */
export type Trailers = Readonly<Record<string, string | Uint8Array>>;

export type CancelReason = 'client' | 'deadline' | 'connection';

/**
 * One gRPC call. For a unary method the handler starts when `message` is complete; for a streaming one at the headers,
 * and messages come through `onMessage`.
 *
 * C1: a call ends exactly once; `reply`, `fail`, `write` and `end` after that do nothing.
 * C2: `onCancel` is called at most once, and only for a call that had not ended.
 * C3: an error thrown by a handler ends its own call, never the connection.
 */
export interface Call {
  /** `/package.Service/Method`, as the client sent it. */
  readonly path: string;
  /** The client's deadline, clamped to the server's maximum, or the server's default. */
  readonly deadline: Deadline;
  readonly cancelled: boolean;
  /** The request of a unary call. Not copied: it may be a view, valid for as long as it is referenced. */
  readonly message: Uint8Array;
  /** The first value of a metadata key (lower-case); `-bin` keys give bytes. */
  get(name: string): string | Uint8Array | undefined;
  /** The keys of the call's metadata. */
  keys(): Iterable<string>;

  onCancel: ((reason: CancelReason) => void) | undefined;
  /** Ends a unary call with OK. `chunks` are the parts of one message, and must not change afterwards. */
  reply(chunks: readonly Uint8Array[], trailers?: Trailers): void;
  /** Ends the call with a status other than OK. `text` is bounded and made well-formed here (see `boundedText`). */
  fail(code: StatusCode, text: string, trailers?: Trailers): void;

  /** Streaming calls only. */
  onMessage: ((message: Uint8Array) => void) | undefined;
  /** The client sends no more messages. */
  onEnd: (() => void) | undefined;
  /** There is room again after `write` said false. */
  onDrain: (() => void) | undefined;
  /** Sends one message; false: wait for `onDrain` before the next. */
  write(chunks: readonly Uint8Array[]): boolean;
  /** Ends a streaming call with OK. */
  end(trailers?: Trailers): void;
  /** No `onMessage` until `resume`; the peer's flow-control window is not reopened. */
  pause(): void;
  resume(): void;
}

/** What the server does with a path. */
export interface Method {
  readonly kind: 'unary' | 'streaming';
  handle(call: Call): void;
}

/** The services of the server: from `/package.Service/Method` to its method. */
export type Routes = ReadonlyMap<string, Method>;

export interface TransportOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Longest accepted request message, in bytes; also the limit of what a compressed one may grow to. */
  readonly maxMessageBytes: number;
  readonly maxConcurrentStreams: number;
  /** What a call without a deadline gets, in milliseconds. */
  readonly defaultDeadlineMs: number;
  /** No deadline is longer than this, in milliseconds. */
  readonly maxDeadlineMs: number;
}

/** A bound transport that takes calls. */
export interface Transport {
  readonly port: number;
  /** Sends GOAWAY and closes the listener; resolves when every call is answered, at the latest after `graceMs`. */
  drain(graceMs: number): Promise<void>;
}

/** Starts a transport. Rejects where the address cannot be bound. */
export type Listen = (options: TransportOptions, routes: Routes) => Promise<Transport>;

const MAX_TEXT = 1024;
// biome-ignore lint/suspicious/noControlCharactersInRegex: removing them is the point
const CONTROL_CHARACTERS = /[\u0000-\u001f\u007f]+/g;

/** The only way a text reaches a status: at most 1 KiB, well-formed Unicode, no control characters. */
export function boundedText(text: string): string {
  const cut = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT - 1)}…` : text;
  return cut.toWellFormed().replace(CONTROL_CHARACTERS, ' ');
}
