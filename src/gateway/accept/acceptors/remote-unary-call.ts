import type { LentMemory } from '../../../http2/lent-memory.ts';
import type { Method, Trailers, UnaryCall } from '../call.ts';
import type { CallOpening } from './call-opening.ts';
import { AnswerRecord, writeTrailers } from './call-record.ts';
import type { ReceivedMessage } from './parcel.ts';
import { type AcceptorLine, byteLengthOf, RemoteCall } from './remote-call.ts';

type UnaryMethod = Extract<Method, { kind: 'unary' }>;

export class RemoteUnaryCall extends RemoteCall implements UnaryCall {
  readonly #method: UnaryMethod;
  #message: ReceivedMessage | undefined;

  constructor(path: string, opening: CallOpening, acceptor: AcceptorLine, method: UnaryMethod) {
    super(path, opening, acceptor);
    this.#method = method;
  }

  get message(): Uint8Array {
    return this.#message?.bytes ?? NOTHING;
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
    this.#message?.memory.giveBack();
    this.#message = undefined;
  }

  /** The request is complete. */
  receive(message: ReceivedMessage): void {
    if (this.hasEnded) {
      message.memory.giveBack();
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
