/** Writes one answer as fast as its client takes it, and no longer than the client takes it fast enough. */

import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { HttpLimits } from '../../ops/http-limits.ts';
import { Pace } from '../pace.ts';
import type { HttpAnswer } from './http-answer.ts';
import { limitReached } from './limit-events.ts';
import type { UnreadAnswer } from './unread-answers.ts';

/** So much is given to the socket at a time: enough for a fast line, and little beside what the kernel holds. */
const PIECE_BYTES = 256 * 1024;
/** Chunks of a short answer are put together: each write of Node's costs more than to copy so few bytes. */
const COPIED_BYTES = 16 * 1024;

export class AnswerWriter implements UnreadAnswer {
  readonly bytes: number;
  readonly #response: ServerResponse;
  readonly #socket: Socket;
  readonly #answer: HttpAnswer;
  readonly #limits: HttpLimits;
  #pace: Pace | undefined;
  #movedAt = performance.now();
  #wake = (): void => {};

  constructor(response: ServerResponse, socket: Socket, answer: HttpAnswer, limits: HttpLimits) {
    this.bytes = answer.chunks.reduce((sum, { byteLength }) => sum + byteLength, answer.rest?.heldBytes ?? 0);
    this.#response = response;
    this.#socket = socket;
    this.#answer = answer;
    this.#limits = limits;
  }

  get movedAt(): number {
    return this.#isWaiting ? this.#movedAt : performance.now();
  }

  /** Bytes wait for the client; where none do, the answer is still being made. */
  get #isWaiting(): boolean {
    return this.#socket.writableLength > 0;
  }

  /** Resolves when the last byte has been handed to the kernel, or the connection has ended. */
  write(extra: Readonly<Record<string, string>>): Promise<void> {
    const response = this.#response;
    const { code, headers, chunks, rest } = this.#answer;
    const closed = new Promise<void>((resolve) => {
      response.once('close', () => {
        this.#wake();
        resolve();
      });
    });
    const length = rest === undefined ? { 'content-length': this.bytes } : {};
    response.writeHead(code, { ...length, 'cache-control': 'no-store', ...headers, ...extra });
    if (response.req.method === 'HEAD') response.end();
    else if (rest !== undefined || this.bytes > PIECE_BYTES) return this.#writeLong(closed);
    else if (this.bytes <= COPIED_BYTES) response.end(joined(chunks, this.bytes));
    else {
      response.cork();
      for (const chunk of chunks) response.write(chunk);
      response.end();
    }
    return closed;
  }

  upkeep(now: number): void {
    const taken = takenFrom(this.#socket);
    // Not before: most answers are taken before anyone looks.
    const { stallMs, minBytesPerSecond } = this.#limits;
    this.#pace ??= new Pace({ graceMs: stallMs, minBytesPerSecond }, taken, now);
    if (!this.#isWaiting) this.#pace.excuse(now);
    else if (this.#pace.isLate(taken, now)) {
      limitReached('stallMs');
      this.cut();
    }
  }

  cut(): void {
    this.#socket.destroy();
  }

  async #writeLong(closed: Promise<void>): Promise<void> {
    const { chunks, rest } = this.#answer;
    await this.#writePieces(piecesOf(chunks));
    if (rest !== undefined) await this.#writePieces(rest.chunks);
    this.#response.end();
    await closed;
  }

  async #writePieces(pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<void> {
    const response = this.#response;
    response.on('drain', () => this.#wake());
    for await (const piece of pieces) {
      if (response.destroyed) return;
      if (!response.write(piece)) await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#movedAt = performance.now();
    }
  }
}

function joined(chunks: readonly Uint8Array[], bytes: number): Uint8Array {
  const [first] = chunks;
  return chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks, bytes);
}

function* piecesOf(chunks: readonly Uint8Array[]): Generator<Uint8Array> {
  for (const chunk of chunks) {
    for (let at = 0; at < chunk.byteLength; at += PIECE_BYTES) yield chunk.subarray(at, at + PIECE_BYTES);
  }
}

/** Bytes that the kernel has taken: `bytesWritten` counts those that wait as well. */
function takenFrom(socket: Socket): number {
  return socket.bytesWritten - socket.writableLength;
}
