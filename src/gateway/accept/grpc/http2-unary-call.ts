import { claimOf } from '../../../http2/byte-budget.ts';
import type { LentMemory } from '../../../http2/lent-memory.ts';
import { freeOwnBuffer } from '../../../http2/own-buffer.ts';
import { releaseAll, type TensorBytes } from '../../../wire/tensor-bytes.ts';
import { InferError } from '../../errors.ts';
import type { Method, Trailers, UnaryCall } from '../call.ts';
import type { CallTerms, CallTools } from './call-terms.ts';
import type { GrpcStream } from './grpc-stream.ts';
import { Http2Call } from './http2-call.ts';

type UnaryMethod = Extract<Method, { kind: 'unary' }>;

/** A call whose method starts when its only message is complete, and the request has ended. */
export class Http2UnaryCall extends Http2Call implements UnaryCall {
  readonly #method: UnaryMethod;
  #message: Uint8Array | undefined;
  #tensors: readonly TensorBytes[] | undefined;
  /** Memory charged for the message until the method starts. */
  #messageBytes = 0;
  #hasMessage = false;
  #requestEnded = false;
  #stopInflating: (() => void) | undefined;

  constructor(stream: GrpcStream, terms: CallTerms, tools: CallTools, method: UnaryMethod) {
    super(stream, terms, tools);
    this.#method = method;
  }

  /** Nothing yet: its method starts when the request is complete. */
  override begin(): void {}

  get message(): Uint8Array {
    return this.#message ?? NOTHING;
  }

  get tensors(): readonly TensorBytes[] | undefined {
    return this.#tensors;
  }

  /** Gives the tensors to the caller, who releases or frees them. */
  takeTensors(): readonly TensorBytes[] {
    const tensors = this.#tensors ?? [];
    this.#tensors = undefined;
    return tensors;
  }

  reply(chunks: readonly Uint8Array[], trailers?: Trailers, memory?: LentMemory): void {
    if (this.send(chunks, memory)) this.succeed(trailers);
  }

  discardMessage(): void {
    if (this.#message === undefined) return;
    this.http2.dropMessage(this.#message);
    this.#message = undefined;
    for (const bytes of this.#tensors ?? []) if (bytes instanceof Uint8Array) freeOwnBuffer(bytes);
    this.#tensors = undefined;
  }

  override receiveEnd(): void {
    if (this.ended) return;
    this.#requestEnded = true;
    if (this.reader.isInside) this.failWith(new InferError('malformed_message', 'the request ends inside its message'));
    else if (!this.#hasMessage)
      this.failWith(new InferError('unimplemented', 'a unary call has one message, and there is none'));
    else this.#startIfComplete();
  }

  /** Behind its message a request has nothing to send but its end. */
  override wanted(window: number): number {
    return this.#hasMessage || this.ended ? 0 : Math.max(window, this.reader.missingBytes);
  }

  override drained(): void {}

  override takeMessage(
    message: Buffer,
    isCompressed: boolean,
    heldBytes: number,
    tensors?: readonly TensorBytes[],
  ): void {
    this.keep(heldBytes);
    if (this.#hasMessage) {
      if (tensors !== undefined) releaseAll(tensors);
      throw new InferError('unimplemented', 'a unary call has one message, and there are more');
    }
    this.#hasMessage = true;
    this.#tensors = tensors;
    this.#messageBytes = heldBytes > 0 ? heldBytes : this.#holdChunk(message);
    if (!isCompressed) {
      this.#message = message;
      return;
    }
    this.#stopInflating = this.inflate(message, (inflated) => {
      this.#stopInflating = undefined;
      if (inflated instanceof InferError) {
        this.failWith(inflated);
        return;
      }
      this.letGo(this.#messageBytes);
      this.#messageBytes = inflated.length;
      this.#message = inflated;
      this.#startIfComplete();
    });
  }

  protected override get isAwaited(): boolean {
    return !this.ended && !this.#requestEnded;
  }

  protected override release(): void {
    super.release();
    this.#stopInflating?.();
    if (this.isStarted || this.#message === undefined) return;
    freeOwnBuffer(this.#message);
    this.#message = undefined;
    if (this.#tensors !== undefined) releaseAll(this.#tensors);
    this.#tensors = undefined;
  }

  /** A view keeps all of the chunk alive that the message came in. */
  #holdChunk({ buffer }: Uint8Array): number {
    const { byteLength } = buffer;
    this.hold(byteLength, claimOf(byteLength));
    return byteLength;
  }

  #startIfComplete(): void {
    if (!this.#requestEnded || this.#message === undefined || this.ended) return;
    // From here on it is the business of those who admit requests.
    this.letGo(this.#messageBytes);
    this.start();
  }

  protected override run(): void {
    this.#method.handle(this);
  }
}

const NOTHING = new Uint8Array(0);
