/**
 * Where a runner's thread opens its run channel while it loads. It listens for one load, and for one thread.
 *
 * Other users of the machine, or of another container of the pod, may connect to a Unix socket without a file; a connection
 * without the key, which only the runner knows, is dropped.
 */

import { randomBytes, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { CHANNEL_KEY_BYTES, type ChannelAddress } from '../../worker/protocol.ts';
import { FrameWriter } from '../../worker/run-frame.ts';

export class ChannelListener {
  readonly address: ChannelAddress;
  readonly #server: net.Server;
  readonly #key = randomBytes(CHANNEL_KEY_BYTES);
  /** Connections that have not sent the key. */
  readonly #unauthenticated = new Set<net.Socket>();
  #socket: net.Socket | undefined;

  private constructor() {
    this.address = { path: socketPath(), key: this.#key.toString('hex') };
    this.#server = net.createServer((socket) => this.#authenticate(socket));
    // A connection that cannot be accepted (no descriptor) is a thread that is not welcomed: its load ends at its limit.
    this.#server.on('error', () => {});
  }

  static async open(): Promise<ChannelListener> {
    const listener = new ChannelListener();
    await once(listener.#server.listen(listener.address.path), 'listening');
    return listener;
  }

  /** The thread's connection, once it has been welcomed. */
  get socket(): net.Socket | undefined {
    return this.#socket;
  }

  /** Listens no longer; the thread's connection stays. */
  close(): void {
    this.#server.close();
    for (const socket of this.#unauthenticated) socket.destroy();
  }

  #authenticate(socket: net.Socket): void {
    this.#unauthenticated.add(socket);
    let received: Buffer = Buffer.alloc(0);
    const receive = (bytes: Buffer): void => {
      received = Buffer.concat([received, bytes]);
      if (received.length < CHANNEL_KEY_BYTES) return;
      socket.off('data', receive);
      if (this.#socket === undefined && received.length === CHANNEL_KEY_BYTES && timingSafeEqual(received, this.#key)) {
        this.#accept(socket);
      } else {
        socket.destroy();
      }
    };
    socket.on('data', receive);
    // An error is followed by the close.
    socket.on('error', () => {});
    socket.on('close', () => this.#unauthenticated.delete(socket));
  }

  #accept(socket: net.Socket): void {
    this.#unauthenticated.delete(socket);
    this.#socket = socket;
    socket.write(new FrameWriter().welcome());
  }
}

/** On Linux a name in the abstract namespace, which leaves nothing behind; elsewhere a file, which the server removes. */
function socketPath(): string {
  const name = `tensorgate-${randomBytes(16).toString('hex')}`;
  return process.platform === 'linux' ? `\0${name}` : path.join(os.tmpdir(), name);
}
