/** HTTP/1.1 by hand: what a client library would never send, read or leave unread. */

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export interface RawOptions {
  /** The address that the server sees. */
  readonly from?: string;
  /** Nothing is read until `read` is called. */
  readonly paused?: boolean;
}

/** A connection on which tests write bytes, and which collects what comes. */
export class RawConnection implements Disposable {
  readonly socket: Socket;
  /** How it ended: the server's FIN, or the code of an error such as ECONNRESET. */
  readonly ended: Promise<string>;
  received = '';

  private constructor(socket: Socket, isPaused: boolean) {
    this.socket = socket;
    this.ended = new Promise((resolve) => {
      socket.once('end', () => resolve('FIN'));
      socket.once('error', ({ code = '' }: NodeJS.ErrnoException) => resolve(code));
    });
    socket.setEncoding('latin1');
    if (!isPaused) this.read();
  }

  static async open(port: number, { from, paused = false }: RawOptions = {}): Promise<RawConnection> {
    const local = from === undefined ? {} : { localAddress: from };
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, ...local });
    await once(socket, 'connect');
    return new RawConnection(socket, paused);
  }

  read(): void {
    this.socket.on('data', (text: string) => {
      this.received += text;
    });
  }

  send(...texts: readonly string[]): this {
    for (const text of texts) this.socket.write(text, 'latin1');
    return this;
  }

  /** Resolves when so many answers have begun. */
  async answers(count: number): Promise<readonly number[]> {
    while (this.codes.length < count) await once(this.socket, 'data');
    return this.codes;
  }

  get codes(): readonly number[] {
    return [...this.received.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, code]) => Number(code));
  }

  /** Which of the answers say that the connection ends. */
  get closes(): readonly boolean[] {
    const [, ...answers] = this.received.split('HTTP/1.1 ');
    return answers.map((answer) => /^connection: close\r$/im.test(answer));
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

/** The head of a request, with its empty line. */
export function head(method: string, path: string, headers: Readonly<Record<string, string | number>> = {}): string {
  const lines = Object.entries({ host: 'x', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`;
}
