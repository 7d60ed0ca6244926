/** The instance thread's end of its run channel: it receives runs with its own event loop. */

import net from 'node:net';
import type { ChannelAddress } from './protocol.ts';
import { type Frame, FrameReader } from './run-frame.ts';

/** Most bytes of one read; a larger frame comes in pieces. */
const READ_BYTES = 64 * 1024;

export class RunChannel {
  readonly #socket: net.Socket;
  readonly #reader = new FrameReader();
  /** The frame that came before it was asked for. */
  #arrived: Frame | undefined;
  #ended = false;
  #waiting: ((frame: Frame | undefined) => void) | undefined;

  private constructor(path: string) {
    // `onread` takes the bytes from one buffer, without a stream between.
    const callback = (length: number, buffer: Uint8Array): boolean => this.#receive(buffer.subarray(0, length));
    this.#socket = net.connect({ path, onread: { buffer: Buffer.allocUnsafeSlow(READ_BYTES), callback } });
    // An error is followed by the close.
    this.#socket.on('error', () => {});
    this.#socket.on('close', () => this.#end());
  }

  /** @throws Error where the gateway does not wait there, or does not welcome the key. */
  static async open({ path, key }: ChannelAddress): Promise<RunChannel> {
    const channel = new RunChannel(path);
    channel.#socket.write(Buffer.from(key, 'hex'));
    const welcome = await channel.receive();
    if (welcome === undefined) throw new Error('the gateway does not take the run channel');
    welcome.welcome();
    return channel;
  }

  /** The next frame, valid until the one after it is received; `undefined` when the gateway has ended the channel. */
  receive(): Promise<Frame | undefined> {
    const frame = this.#arrived;
    this.#arrived = undefined;
    if (frame !== undefined || this.#ended) return Promise.resolve(frame);
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  send(frame: Uint8Array): void {
    this.#socket.write(frame);
  }

  close(): void {
    this.#socket.destroy();
  }

  /** @returns that there may be more. */
  #receive(piece: Uint8Array): boolean {
    let frame: Frame | undefined;
    try {
      frame = this.#reader.push(piece);
    } catch {
      // No byte after this one can be understood.
      this.close();
    }
    if (frame === undefined) return true;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting === undefined) this.#arrived = frame;
    else waiting(frame);
    return true;
  }

  #end(): void {
    this.#ended = true;
    this.#waiting?.(undefined);
    this.#waiting = undefined;
  }
}
