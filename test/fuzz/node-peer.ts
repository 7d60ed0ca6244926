/** Node's own HTTP/2 (nghttp2) as the other end, without a network. */

import { Duplex } from 'node:stream';

/** One end of a connection: what it is given to write goes to `sent`, and `receive` is what it reads. */
export class PeerSocket extends Duplex {
  readonly #sent: (bytes: Buffer) => void;

  constructor(sent: (bytes: Buffer) => void) {
    super();
    this.#sent = sent;
  }

  receive(bytes: Buffer): void {
    if (!this.destroyed) this.push(bytes);
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#sent(Buffer.from(chunk));
    done();
  }
}

/** A turn of the event loop, in which Node handles what it was given. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
