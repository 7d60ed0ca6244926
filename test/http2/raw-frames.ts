/** Frames and header blocks, made by hand: what a peer sends that keeps to no rule. */

import { once } from 'node:events';
import net from 'node:net';

export const Type = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const;

export const END_STREAM = 1;
export const ACK = 1;
export const END_HEADERS = 4;
export const PADDED = 8;

export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const NOTHING = Buffer.alloc(0);

export function frame(type: number, flags: number, id: number, payload: Uint8Array = NOTHING): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(id, 5);
  return Buffer.concat([header, payload]);
}

/** The preface of a client, and its SETTINGS, which change nothing. */
export const HELLO = Buffer.concat([PREFACE, frame(Type.SETTINGS, 0, 0)]);

export function uint32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [index, value] of values.entries()) bytes.writeUInt32BE(value, index * 4);
  return bytes;
}

/** A SETTINGS entry. */
export function setting(id: number, value: number): Buffer {
  return Buffer.concat([Buffer.from([0, id]), uint32(value)]);
}

/** A literal that no table takes (RFC 7541, section 6.2.2), with lengths up to 16,383. */
export function literal(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.from([0]), hpackString(name), hpackString(value)]);
}

function hpackString(text: string): Buffer {
  const { length } = text;
  const prefix = length < 127 ? [length] : [127, ((length - 127) & 127) | 128, (length - 127) >> 7];
  return Buffer.concat([Buffer.from(prefix), Buffer.from(text, 'latin1')]);
}

/** The header block of a gRPC request. */
export function requestBlock(path: string, more: Readonly<Record<string, string>> = {}): Buffer {
  const fields = Object.entries({ ':path': path, 'content-type': 'application/grpc', te: 'trailers', ...more });
  // `:method: POST` and `:scheme: http` of the static table.
  return Buffer.concat([Buffer.from([0x83, 0x86]), ...fields.map(([name, value]) => literal(name, value))]);
}

export function request(id: number, path: string, more: Readonly<Record<string, string>> = {}): Buffer {
  return frame(Type.HEADERS, END_HEADERS, id, requestBlock(path, more));
}

/** A message behind its prefix. */
export function grpcMessage(message: Uint8Array, flag = 0): Buffer {
  return Buffer.concat([Buffer.from([flag]), uint32(message.length), message]);
}

/** HEADERS, and DATA that ends the request. */
export function unaryRequest(id: number, path: string, message: Uint8Array = NOTHING): Buffer {
  return Buffer.concat([request(id, path), frame(Type.DATA, END_STREAM, id, grpcMessage(message))]);
}

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Buffer;
}

/** Cuts what a server sent into frames; an incomplete one at the end is left out. */
export function framesOf(bytes: Buffer): Frame[] {
  const frames: Frame[] = [];
  for (let at = 0; at + 9 <= bytes.length; ) {
    const end = at + 9 + bytes.readUIntBE(at, 3);
    if (end > bytes.length) break;
    const [type = 0, flags = 0] = bytes.subarray(at + 3, at + 5);
    frames.push({ type, flags, id: bytes.readUInt32BE(at + 5), payload: bytes.subarray(at + 9, end) });
    at = end;
  }
  return frames;
}

/** The error code of RST_STREAM, or of GOAWAY with its text. */
export function errorOf({ type, payload }: Frame): { code: number; text: string } {
  const at = type === Type.GOAWAY ? 4 : 0;
  return { code: payload.readUInt32BE(at), text: payload.subarray(at + 4).toString('latin1') };
}

/** A TCP peer that sends whatever it likes. */
export class RawPeer implements Disposable {
  readonly socket: net.Socket;
  readonly #received: Buffer[] = [];
  #listeners: (() => void)[] = [];
  closed = false;

  private constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#received.push(chunk);
      this.#notify();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.closed = true;
      this.#notify();
    });
  }

  /** Connects; `settings` are the entries of its SETTINGS frame, which are sent with the preface. */
  static async connect(port: number, settings: Buffer = NOTHING): Promise<RawPeer> {
    const peer = await RawPeer.connectSilently(port);
    peer.socket.write(Buffer.concat([PREFACE, frame(Type.SETTINGS, 0, 0, settings)]));
    return peer;
  }

  static async connectSilently(port: number): Promise<RawPeer> {
    const socket = net.connect(port, '127.0.0.1');
    await once(socket, 'connect');
    return new RawPeer(socket);
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }

  get frames(): Frame[] {
    return framesOf(Buffer.concat(this.#received));
  }

  /** How many bytes came. */
  get receivedBytes(): number {
    return this.#received.reduce((sum, { length }) => sum + length, 0);
  }

  /** Writes, and waits until the kernel has it or the server has closed the connection. */
  async send(...bytes: Uint8Array[]): Promise<void> {
    if (this.closed || this.socket.write(Buffer.concat(bytes))) return;
    await Promise.race([once(this.socket, 'drain'), this.end()]).catch(() => undefined);
  }

  /** Waits until a frame has come. Rejects where the connection is closed without it. */
  async frame(matches: (frame: Frame) => boolean): Promise<Frame> {
    for (;;) {
      const found = this.frames.find(matches);
      if (found !== undefined) return found;
      if (this.closed) throw new Error('the connection is closed');
      await new Promise<void>((resolve) => this.#listeners.push(resolve));
    }
  }

  /** Waits for the server's end of the connection; resolves with the last GOAWAY. */
  async end(): Promise<{ code: number; text: string } | undefined> {
    while (!this.closed) await new Promise<void>((resolve) => this.#listeners.push(resolve));
    const last = this.frames.findLast(({ type }) => type === Type.GOAWAY);
    return last && errorOf(last);
  }

  #notify(): void {
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) listener();
  }
}
