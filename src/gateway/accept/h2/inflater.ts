/** Compressed messages (grpc/grpc: doc/compression.md). */

import { gunzip, type InputType, inflate, type ZlibOptions } from 'node:zlib';
import { InferError } from '../../errors.ts';
import type { MessageLimit } from '../message-limit.ts';
import { Fifo } from './fifo.ts';

export type Encoding = 'identity' | 'gzip' | 'deflate';

/** The value of `grpc-accept-encoding`. */
export const ACCEPTED_ENCODINGS = 'identity,deflate,gzip';

/** The encoding of a name in `grpc-encoding`; `undefined`: it is not supported. */
export function encodingOf(name: string | undefined): Encoding | undefined {
  if (name === undefined) return 'identity';
  return name === 'identity' || name === 'gzip' || name === 'deflate' ? name : undefined;
}

export type Inflated = (message: Buffer | InferError) => void;

/** The missing part of Node's types: what comes with the option `info`. */
type InflateWithInfo = (
  input: InputType,
  options: ZlibOptions & { readonly info: true },
  done: (
    error: Error | null,
    result: { readonly buffer: Buffer; readonly engine: { readonly bytesWritten: number } },
  ) => void,
) => void;

const INFLATE: Readonly<Record<'gzip' | 'deflate', InflateWithInfo>> = {
  gzip: gunzip as unknown as InflateWithInfo,
  // "deflate" is the zlib format of RFC 1950, as in HTTP.
  deflate: inflate as unknown as InflateWithInfo,
};

/** Node inflates on libuv's threads, of which there are four: more at a time would only hold memory. */
const AT_A_TIME = 4;
const CHUNK_BYTES = 64 * 1024;
const NOTHING = Buffer.alloc(0);

interface Work {
  message: Buffer;
  readonly encoding: 'gzip' | 'deflate';
  readonly limit: MessageLimit;
  readonly done: Inflated;
  /** Nobody waits for it any more. */
  abandoned: boolean;
}

/** Inflates messages off the event loop, in the order in which they came. */
export class Inflater {
  readonly #waiting = new Fifo<Work>();
  #running = 0;

  /**
   * @param limit of the inflated message: zlib stops there
   * @param done gets the message, or why there is none; never before this returns
   * @returns a function that says that nobody waits for it any more: `done` is not called then
   */
  inflate(message: Buffer, encoding: 'gzip' | 'deflate', limit: MessageLimit, done: Inflated): () => void {
    const work: Work = { message, encoding, limit, done, abandoned: false };
    this.#waiting.push(work);
    this.#next();
    return () => {
      work.abandoned = true;
      // Its turn may be far away, and nobody counts its bytes any more.
      work.message = NOTHING;
    };
  }

  #next(): void {
    while (this.#running < AT_A_TIME) {
      const work = this.#waiting.shift();
      if (work === undefined) return;
      if (!work.abandoned) this.#run(work);
    }
  }

  #run(work: Work): void {
    this.#running++;
    const { message, encoding, limit } = work;
    INFLATE[encoding](
      message,
      { info: true, maxOutputLength: limit.bytes, chunkSize: CHUNK_BYTES },
      (error, result) => {
        this.#running--;
        if (!work.abandoned) {
          if (error !== null) work.done(failureOf(error, encoding, limit));
          else if (result.engine.bytesWritten !== message.length)
            work.done(malformed(encoding, 'bytes follow its end'));
          else work.done(result.buffer);
        }
        this.#next();
      },
    );
  }
}

function failureOf(error: Error & { readonly code?: string }, encoding: string, limit: MessageLimit): InferError {
  return error.code === 'ERR_BUFFER_TOO_LARGE' ? limit.exceededInflated() : malformed(encoding, error.message);
}

function malformed(encoding: string, why: string): InferError {
  return new InferError('malformed_message', `the message is not ${encoding}: ${why}`);
}
