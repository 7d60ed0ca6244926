import { Metadata, type ServerDuplexStream, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js';
import type { WayBack } from '../../http2/way-back.ts';
import { boundedText, InferError, Status, type StatusCode } from '../errors.ts';
import type { Call, CancelReason, Deadline, StreamingCall, Trailers, UnaryCall } from './call.ts';
import { publishEnd, publishStart } from './call-events.ts';
import { DETAILS_TRAILER, encodeErrorDetails } from './error-details.ts';
import { failHandler, PUSHBACK_TRAILER, pushbackValue } from './failure.ts';
import { DEFAULT_DEADLINE_KEY } from './grpc-js-http2.ts';
import { MessageParts } from './message-parts.ts';

type Unary = ServerUnaryCall<Buffer, MessageParts>;
type Stream = ServerDuplexStream<Buffer, MessageParts>;

interface StatusObject {
  readonly code: StatusCode;
  readonly details: string;
  readonly metadata?: Metadata;
}

/** Two clocks and a timer: a call that ends this close to its deadline ended because of it. */
const CLOCK_TOLERANCE_MS = 2;

/** Unsent bytes of a streaming call at which `write` says false, and at which `onDrain` follows. */
const HIGH_WATER_BYTES = 1024 * 1024;
const LOW_WATER_BYTES = 256 * 1024;

/** The common part of unary and streaming calls: the state that grpc-js does not keep. */
export abstract class GrpcJsCall implements Call {
  readonly path: string;
  readonly deadline: Deadline;
  readonly namesDeadline: boolean;
  onCancel: ((reason: CancelReason) => void) | undefined = undefined;
  readonly #metadata: Metadata;
  readonly #wayBack: WayBack;
  readonly #startedAt: number;
  #ended = false;
  #cancelled = false;

  constructor(path: string, inner: Unary | Stream, wayBack: WayBack) {
    this.path = path;
    this.#wayBack = wayBack;
    this.#metadata = inner.metadata;
    this.namesDeadline = inner.metadata.get(DEFAULT_DEADLINE_KEY).length === 0;
    inner.metadata.remove(DEFAULT_DEADLINE_KEY);
    this.#startedAt = performance.now();
    // grpc-js gives a moment of `Date.now()`.
    this.deadline = this.#startedAt + (Number(inner.getDeadline()) - Date.now());
  }

  get wayBackMs(): number {
    return this.#wayBack.ms;
  }

  get cancelled(): boolean {
    return this.#cancelled;
  }

  get(name: string): string | Uint8Array | undefined {
    return this.#metadata.get(name)[0];
  }

  keys(): Iterable<string> {
    return Object.keys(this.#metadata.toJSON());
  }

  fail(code: StatusCode, text: string, trailers?: Trailers, failure?: InferError): void {
    const status = statusOf(code, boundedText(text), trailers, failure);
    if (this.conclude(code, status.details, failure)) this.sendStatus(status);
  }

  start(handle: () => void): void {
    publishStart(this);
    this.guard(handle);
  }

  /** To be called when grpc-js is done with the call: it says `cancelled` of every one, also of those that were answered. */
  close(): void {
    if (this.#ended) return;
    const isLate = performance.now() >= this.deadline - CLOCK_TOLERANCE_MS;
    if (isLate) this.#cancel('deadline', new InferError('deadline_exceeded', 'the deadline passed before the answer'));
    else this.#cancel('client', new InferError('cancelled', 'the caller cancelled the call'));
  }

  /** The server ends before the call does: notifies the caller and the handler. */
  abandon(): void {
    if (this.#ended) return;
    const failure = new InferError('draining', 'the server ended before it could answer');
    this.sendStatus(statusOf(failure.status, failure.message, undefined, failure));
    this.#cancel('connection', failure);
  }

  protected abstract sendStatus(status: StatusObject): void;

  protected get ended(): boolean {
    return this.#ended;
  }

  /** Marks the call as ended. False: it was already (CALL-1). */
  protected conclude(code: StatusCode, text?: string, failure?: InferError): boolean {
    if (this.#ended) return false;
    this.#ended = true;
    publishEnd(this, { code, text, failure }, this.#startedAt);
    return true;
  }

  /** Runs a handler: what it throws ends this call, and nothing else (CALL-3). */
  protected guard(handler: () => void): void {
    try {
      handler();
    } catch (thrown) {
      failHandler(this, thrown);
    }
  }

  #cancel(reason: CancelReason, failure: InferError): void {
    if (!this.conclude(failure.status, failure.message, failure)) return;
    this.#cancelled = true;
    this.guard(() => this.onCancel?.(reason));
  }
}

export class GrpcJsUnaryCall extends GrpcJsCall implements UnaryCall {
  readonly message: Uint8Array;
  readonly #respond: sendUnaryData<MessageParts>;

  constructor(path: string, inner: Unary, respond: sendUnaryData<MessageParts>, wayBack: WayBack) {
    super(path, inner, wayBack);
    this.message = inner.request;
    this.#respond = respond;
  }

  /** Nothing: grpc-js does not say whose memory it is. */
  discardMessage(): void {}

  reply(chunks: readonly Uint8Array[], trailers?: Trailers): void {
    const message = new MessageParts(chunks);
    const metadata = trailers && metadataOf(trailers);
    if (this.conclude(Status.OK)) this.#respond(null, message, metadata);
  }

  protected override sendStatus(status: StatusObject): void {
    this.#respond(status);
  }
}

export class GrpcJsStreamingCall extends GrpcJsCall implements StreamingCall {
  onMessage: ((message: Uint8Array) => void) | undefined = undefined;
  onEnd: (() => void) | undefined = undefined;
  onDrain: (() => void) | undefined = undefined;
  readonly #inner: Stream;
  #unsentBytes = 0;
  #full = false;

  constructor(path: string, inner: Stream, wayBack: WayBack) {
    super(path, inner, wayBack);
    this.#inner = inner;
    inner.on('data', (message: Buffer) => this.guard(() => this.#take(message)));
    inner.on('end', () => this.guard(() => this.#halfClose()));
  }

  write(chunks: readonly Uint8Array[]): boolean {
    if (this.ended) return false;
    const parts = new MessageParts(chunks);
    this.#unsentBytes += parts.byteLength;
    this.#inner.write(parts, () => this.#sent(parts.byteLength));
    this.#full ||= this.#unsentBytes >= HIGH_WATER_BYTES;
    return !this.#full;
  }

  end(trailers?: Trailers): void {
    const metadata = trailers && metadataOf(trailers);
    if (this.conclude(Status.OK)) this.#inner.end(metadata);
  }

  pause(): void {
    this.#inner.pause();
  }

  resume(): void {
    this.#inner.resume();
  }

  /** Earlier writes go out first. */
  protected override sendStatus(status: StatusObject): void {
    this.#inner.emit('error', status);
  }

  #take(message: Buffer): void {
    if (!this.ended) this.onMessage?.(message);
  }

  #halfClose(): void {
    if (!this.ended) this.onEnd?.();
  }

  #sent(byteLength: number): void {
    this.#unsentBytes -= byteLength;
    if (!this.#full || this.#unsentBytes > LOW_WATER_BYTES || this.ended) return;
    this.#full = false;
    this.guard(() => this.onDrain?.());
  }
}

function statusOf(
  code: StatusCode,
  details: string,
  trailers: Trailers | undefined,
  failure: InferError | undefined,
): StatusObject {
  if (trailers === undefined && failure === undefined) return { code, details };
  const metadata = metadataOf(trailers ?? {});
  if (failure !== undefined) {
    metadata.set(DETAILS_TRAILER, Buffer.from(encodeErrorDetails(failure, details)));
    if (failure.pushback !== undefined) metadata.set(PUSHBACK_TRAILER, pushbackValue(failure.pushback));
  }
  return { code, details, metadata };
}

function metadataOf(trailers: Trailers): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(trailers)) {
    metadata.set(name, typeof value === 'string' ? value : Buffer.from(value));
  }
  return metadata;
}
