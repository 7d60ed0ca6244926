/** The body of a REST request: read within bounds, and inflated within the same. */

import type { IncomingMessage } from 'node:http';
import { createGunzip, createInflate } from 'node:zlib';
import { InferError } from '../../errors.ts';
import type { Slices } from '../slices.ts';
import type { BodyCharge } from './body-budget.ts';

/** RFC 9110 has `x-gzip` mean gzip. */
const INFLATERS = { gzip: createGunzip, 'x-gzip': createGunzip, deflate: createInflate } as const;
type Encoding = keyof typeof INFLATERS;

/** The longest body, and the setting that says so. */
export interface BodyLimit {
  readonly maxBytes: number;
  readonly setting: string;
}

/** A body that grows beyond both was made to cost memory: tensors compress to a third, sparse ones to a fiftieth. */
const MAX_INFLATED_RATIO = 100;
const FREE_INFLATED_BYTES = 8 * 2 ** 20;

/** Chunks below it are copied together: each would cost more memory as an object than in bytes. */
const SMALL_CHUNK_BYTES = 4_096;
const BLOCK_BYTES = 65_536;
/** Longest body that gets all of its memory with its first bytes: a client may announce a body and never send it. */
const MAX_WHOLE_BYTES = 2 ** 20;

/**
 * Reads a body to its end. Its bytes are charged as they come, and as they are inflated.
 * @throws InferError `limit_exceeded`, `queue_full`, `unimplemented` for an encoding, `invalid_request` or `cancelled`.
 */
export async function readBody(
  request: IncomingMessage,
  limit: BodyLimit,
  charge: Pick<BodyCharge, 'take'>,
  slices: Slices,
): Promise<Buffer> {
  const encoding = encodingOf(request.headers['content-encoding']);
  if (encoding !== undefined) return inflated(request, encoding, new BodyBytes(limit, charge), slices);
  const length = Number(request.headers['content-length'] ?? 0);
  if (length > limit.maxBytes) throw tooLong(limit);
  const body = new BodyBytes(limit, charge, length);
  await forEachChunk(request, (chunk) => body.append(chunk));
  return body.joined(slices);
}

function encodingOf(header: string | undefined): Encoding | undefined {
  const name = header?.trim().toLowerCase() ?? '';
  if (name === '' || name === 'identity') return undefined;
  if (Object.hasOwn(INFLATERS, name)) return name as Encoding;
  throw new InferError('unimplemented', `content-encoding '${name}' is not offered: gzip, deflate and identity are`);
}

async function inflated(
  request: IncomingMessage,
  encoding: Encoding,
  body: BodyBytes,
  slices: Slices,
): Promise<Buffer> {
  const inflater = INFLATERS[encoding]({ chunkSize: BLOCK_BYTES });
  // Not a pipeline, which would end the connection with the inflater: a refusal still has to be written.
  forEachChunk(request, (chunk) => {
    if (inflater.write(chunk)) return;
    request.pause();
    inflater.once('drain', () => request.resume());
  }).then(
    () => inflater.end(),
    (error: Error) => inflater.destroy(error),
  );
  try {
    for await (const chunk of inflater as AsyncIterable<Buffer>) {
      body.append(chunk);
      checkRatio(body.byteLength, inflater.bytesWritten);
    }
    return await body.joined(slices);
  } catch (error) {
    request.pause();
    if (error instanceof InferError) throw error;
    throw new InferError('invalid_request', `the body is not ${encoding}: ${(error as Error).message}`);
  } finally {
    inflater.destroy();
  }
}

/**
 * Hands the chunks of a body to `take`. What it throws ends that, and leaves the connection open for the refusal.
 * @throws InferError `cancelled` where the body ends too early
 */
function forEachChunk(request: IncomingMessage, take: (chunk: Buffer) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (error?: unknown): void => {
      request.off('data', onData).off('end', end).off('error', onCut).off('close', onCut);
      if (error === undefined) resolve();
      else reject(error);
    };
    const onCut = (cause?: Error): void =>
      end(new InferError('cancelled', 'the caller went away before the end of the body', { cause }));
    const onData = (chunk: Buffer): void => {
      try {
        take(chunk);
      } catch (error) {
        request.pause();
        end(error);
      }
    };
    request.on('data', onData).on('end', end).on('error', onCut).on('close', onCut);
    if (request.destroyed) onCut();
  });
}

function checkRatio(inflatedBytes: number, compressedBytes: number): void {
  if (inflatedBytes <= Math.max(FREE_INFLATED_BYTES, compressedBytes * MAX_INFLATED_RATIO)) return;
  throw new InferError(
    'limit_exceeded',
    `${compressedBytes} bytes of the body inflate to over ${FREE_INFLATED_BYTES} bytes, more than ${MAX_INFLATED_RATIO} times as many: send it uncompressed`,
  );
}

class BodyBytes {
  readonly #limit: BodyLimit;
  readonly #charge: Pick<BodyCharge, 'take'>;
  readonly #chunks: Buffer[] = [];
  /** All of a body of known length, which is filled as chunks come: each is copied while the processor's cache still has it. */
  readonly #whole: Buffer | undefined;
  /** Buffer for small chunks. */
  #block: Buffer | undefined;
  #blockBytes = 0;
  #bytes = 0;

  /** @param length that was announced; 0: it is not known */
  constructor(limit: BodyLimit, charge: Pick<BodyCharge, 'take'>, length = 0) {
    this.#limit = limit;
    this.#charge = charge;
    if (length > 0 && length <= MAX_WHOLE_BYTES) this.#whole = Buffer.allocUnsafeSlow(length);
  }

  get byteLength(): number {
    return this.#bytes;
  }

  append(chunk: Buffer): void {
    if (this.#bytes + chunk.byteLength > this.#limit.maxBytes) throw tooLong(this.#limit);
    this.#charge.take(chunk.byteLength);
    const isFirst = this.#bytes === 0;
    if (this.#whole !== undefined) {
      this.#bytes += chunk.copy(this.#whole, this.#bytes);
      return;
    }
    this.#bytes += chunk.byteLength;
    if (isFirst || chunk.byteLength >= SMALL_CHUNK_BYTES) {
      this.#endBlock();
      this.#chunks.push(chunk);
      return;
    }
    if (this.#blockBytes + chunk.byteLength > (this.#block?.byteLength ?? 0)) this.#endBlock();
    this.#block ??= Buffer.allocUnsafeSlow(Math.max(SMALL_CHUNK_BYTES, Math.min(this.#bytes, BLOCK_BYTES)));
    this.#blockBytes += chunk.copy(this.#block, this.#blockBytes);
  }

  #endBlock(): void {
    if (this.#block !== undefined) this.#chunks.push(this.#block.subarray(0, this.#blockBytes));
    this.#block = undefined;
    this.#blockBytes = 0;
  }

  async joined(slices: Slices): Promise<Buffer> {
    if (this.#whole !== undefined) return this.#whole;
    this.#endBlock();
    const [first] = this.#chunks;
    if (first !== undefined && this.#chunks.length === 1) return first;
    const body = Buffer.allocUnsafeSlow(this.#bytes);
    let at = 0;
    for (const [index, chunk] of this.#chunks.entries()) {
      at += chunk.copy(body, at);
      // A copy of 64 KiB, page faults included, takes some 20 us.
      if (index % 16 === 15 && slices.isOver) await slices.next();
    }
    return body;
  }
}

function tooLong({ maxBytes, setting }: BodyLimit): InferError {
  return new InferError('limit_exceeded', `the body is longer than ${maxBytes} bytes (${setting})`);
}
