/** The parts of one message, to be joined where grpc-js copies a message behind its length prefix: one copy, not two. */
export class MessageParts {
  readonly byteLength: number;
  readonly #chunks: readonly Uint8Array[];

  constructor(chunks: readonly Uint8Array[]) {
    let byteLength = 0;
    for (const chunk of chunks) byteLength += chunk.byteLength;
    this.byteLength = byteLength;
    this.#chunks = chunks;
  }

  /** Has the signature of `Buffer.copy`, as far as grpc-js uses it. */
  copy(target: Uint8Array, offset: number): void {
    let at = offset;
    for (const chunk of this.#chunks) {
      target.set(chunk, at);
      at += chunk.byteLength;
    }
  }
}
