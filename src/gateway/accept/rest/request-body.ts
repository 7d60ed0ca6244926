/** The body of a REST request: read within bounds, and decompressed within the same. */

import type { IncomingMessage } from 'node:http';
import { promisify } from 'node:util';
import { gunzip, inflate } from 'node:zlib';
import { InferError } from '../../errors.ts';

const DECOMPRESSORS = new Map([
  ['gzip', promisify(gunzip)],
  ['deflate', promisify(inflate)],
]);

/** Bytes of all bodies that are being read: connections are many, and each could hold back the last byte of a large one. */
export class BodyBudget {
  readonly #maxBytes: number;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  take(bytes: number): void {
    if (this.#bytes + bytes > this.#maxBytes) {
      const text = `bodies of ${this.#bytes} bytes are being read (max_in_flight_bytes is ${this.#maxBytes}): try again`;
      throw new InferError('queue_full', text, { pushback: 1_000 });
    }
    this.#bytes += bytes;
  }

  giveBack(bytes: number): void {
    this.#bytes -= bytes;
  }
}

/** @throws InferError `limit_exceeded`, `queue_full`, `unimplemented` for an encoding, or `invalid_request`. */
export async function readBody(request: IncomingMessage, maxBytes: number, budget: BodyBudget): Promise<Buffer> {
  const encoding = request.headers['content-encoding']?.trim().toLowerCase() ?? 'identity';
  const decompress = DECOMPRESSORS.get(encoding);
  if (decompress === undefined && encoding !== 'identity' && encoding !== '') {
    throw new InferError(
      'unimplemented',
      `content-encoding '${encoding}' is not offered: gzip, deflate and identity are`,
    );
  }
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) throw tooLarge(maxBytes);
  const body = await collect(request, maxBytes, budget);
  if (decompress === undefined) return body;
  try {
    return await decompress(body, { maxOutputLength: maxBytes });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(maxBytes);
    throw new InferError('invalid_request', `the body is no ${encoding}: ${(error as Error).message}`);
  }
}

async function collect(request: IncomingMessage, maxBytes: number, budget: BodyBudget): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      if (bytes + chunk.byteLength > maxBytes) throw tooLarge(maxBytes);
      budget.take(chunk.byteLength);
      bytes += chunk.byteLength;
      chunks.push(chunk);
    }
    return chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks, bytes);
  } catch (error) {
    if (error instanceof InferError) throw error;
    throw new InferError('cancelled', 'the caller went away before the end of the body', { cause: error });
  } finally {
    budget.giveBack(bytes);
  }
}

function tooLarge(maxBytes: number): InferError {
  return new InferError('limit_exceeded', `the body is longer than ${maxBytes} bytes (max_message_bytes)`);
}
