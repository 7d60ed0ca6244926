import type { LentMemory } from '../../../http2/lent-memory.ts';
import type { TensorBytes } from '../../../wire/tensor-bytes.ts';
import type { Method, Trailers, UnaryCall } from '../call.ts';
import type { CallOpening } from './call-opening.ts';
import { AnswerRecord, writeTrailers } from './call-record.ts';
import { byteLengthOf } from './message-cost.ts';
import { type AcceptorLine, RemoteCall } from './remote-call.ts';
import type { RemoteMessage } from './remote-message.ts';

type UnaryMethod = Extract<Method, { kind: 'unary' }>;

export class RemoteUnaryCall extends RemoteCall implements UnaryCall {
  readonly #method: UnaryMethod;
  #message: RemoteMessage | undefined;

  constructor(path: string, opening: CallOpening, acceptor: AcceptorLine, method: UnaryMethod) {
    super(path, opening, acceptor);
    this.#method = method;
  }

  get message(): Uint8Array {
    return this.#message?.bytes ?? NOTHING;
  }

  get tensors(): readonly TensorBytes[] | undefined {
    return this.#message?.tensors;
  }

  reply(chunks: readonly Uint8Array[], trailers?: Trailers, memory?: LentMemory): void {
    if (this.succeed(trailers)) {
      const record = this.record(AnswerRecord.REPLY);
      record.message(chunks, byteLengthOf(chunks), false);
      writeTrailers(record, trailers);
    }
    // The record has a copy.
    memory?.giveBack();
  }

  discardMessage(): void {
    this.#message?.free();
    this.#message = undefined;
  }

  /** The request is complete. */
  receive(message: RemoteMessage): void {
    if (this.hasEnded) {
      message.drop();
      return;
    }
    this.#message = message;
    this.start();
  }

  protected override run(): void {
    this.#method.handle(this);
  }
}

const NOTHING = new Uint8Array(0);
