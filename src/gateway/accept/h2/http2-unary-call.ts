import { InferError } from '../../errors.ts';
import type { Method, Trailers, UnaryCall } from '../call.ts';
import { type CallStart, type CallTools, Http2Call } from './http2-call.ts';
import type { Http2Stream } from './http2-stream.ts';

type UnaryMethod = Extract<Method, { kind: 'unary' }>;

/** A call whose method starts when its only message is complete, and the request has ended. */
export class Http2UnaryCall extends Http2Call implements UnaryCall {
  readonly #method: UnaryMethod;
  #message: Uint8Array | undefined;
  #hasMessage = false;
  #requestEnded = false;
  #stopInflating: (() => void) | undefined;

  constructor(stream: Http2Stream, start: CallStart, tools: CallTools, method: UnaryMethod) {
    super(stream, start, tools);
    this.#method = method;
  }

  /** Nothing yet: its method starts when the request is complete. */
  override begin(): void {}

  get message(): Uint8Array {
    return this.#message ?? NOTHING;
  }

  reply(chunks: readonly Uint8Array[], trailers?: Trailers): void {
    if (this.send(chunks)) this.succeed(trailers);
  }

  discardMessage(): void {
    const { buffer, byteLength } = this.message;
    this.#message = undefined;
    // A view of a chunk has its neighbours there.
    if (byteLength > 0 && byteLength === buffer.byteLength) (buffer as ArrayBuffer).transfer(0);
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

  override takeMessage(message: Buffer, isCompressed: boolean): void {
    if (this.#hasMessage) throw new InferError('unimplemented', 'a unary call has one message, and there are more');
    this.#hasMessage = true;
    this.hold(heldBy(message));
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
      this.guard(() => {
        this.letGo(heldBy(message));
        this.hold(heldBy(inflated));
        this.#message = inflated;
        this.#startIfComplete();
      });
    });
  }

  protected override release(): void {
    super.release();
    this.#stopInflating?.();
  }

  #startIfComplete(): void {
    if (!this.#requestEnded || this.#message === undefined || this.ended) return;
    // From here on it is the business of those who admit requests.
    this.letGo(heldBy(this.#message));
    this.start(() => this.#method.handle(this));
  }
}

const NOTHING = new Uint8Array(0);

/** All that a view keeps alive: the chunk that the message came in. */
function heldBy(message: Uint8Array): number {
  return message.buffer.byteLength;
}
