/**
 * Sends one HTTP/1.1 request again and again on one connection, without waiting for the answers before (RFC 9112, section 9.3.2), and prints how many were
 * answered: h2load sends requests with a body one at a time.
 *
 *   node pipelining-client.ts PORT REQUESTS_UNDER_WAY SECONDS FILE
 */

import fs from 'node:fs';
import { connect } from 'node:net';

const HEAD_END = Buffer.from('\r\n\r\n');
const HEAD = /^HTTP\/1\.1 (\d{3}) .*?^content-length: (\d+)\r$/ims;

/** Counts answers by their heads. */
class Answers {
  #begun: Buffer = Buffer.alloc(0);
  /** Bytes of the body that are still to come. */
  #due = 0;

  /** @returns how many have ended with the chunk. @throws Error where one is not 200 */
  take(chunk: Buffer): number {
    let ended = 0;
    let rest = this.#begun.byteLength > 0 ? Buffer.concat([this.#begun, chunk]) : chunk;
    for (;;) {
      if (this.#due === 0) {
        const end = rest.indexOf(HEAD_END);
        if (end < 0) break;
        const head = rest.toString('latin1', 0, end + 2);
        const [, code, length] = HEAD.exec(head) ?? [];
        if (code !== '200' || length === undefined) throw new Error(`a request failed:\n${head}`);
        this.#due = Number(length);
        rest = rest.subarray(end + HEAD_END.byteLength);
      }
      const taken = Math.min(this.#due, rest.byteLength);
      this.#due -= taken;
      rest = rest.subarray(taken);
      if (this.#due > 0) break;
      ended++;
    }
    this.#begun = rest;
    return ended;
  }
}

const [port = 0, depth = 0, seconds = 0] = process.argv.slice(2, 5).map(Number);
const request = fs.readFileSync(process.argv[5] ?? '');
const end = performance.now() + seconds * 1_000;
const socket = connect({ port, host: '127.0.0.1', noDelay: true });
const answers = new Answers();
let answered = 0;

function send(count: number): void {
  socket.write(Buffer.concat(new Array<Buffer>(count).fill(request)));
}

send(depth);
socket.on('data', (chunk) => {
  const ended = answers.take(chunk);
  if (performance.now() < end) {
    answered += ended;
    if (ended > 0) send(ended);
    return;
  }
  console.log(answered);
  socket.destroy();
});
