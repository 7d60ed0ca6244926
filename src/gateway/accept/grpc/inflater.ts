/** Compressed messages (grpc/grpc: doc/compression.md). */

import { createGunzip, createInflate, type Gunzip, type Inflate } from 'node:zlib';
import { freeOwnBuffer } from '../../../http2/own-buffer.ts';
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

/** Whose message is inflated, and what bounds it. */
export interface InflationTerms {
  /** Owners are served round-robin: one that has sent a thousand messages does not keep the others waiting. */
  readonly owner: object;
  readonly limit: MessageLimit;
  /**
   * Holds further bytes of the inflated message.
   * @param total with these bytes
   * @throws InferError
   */
  hold(bytes: number, total: number): void;
}

/** Node inflates on libuv's four threads: more at a time would only hold memory. */
const AT_A_TIME = 4;
const CHUNK_BYTES = 64 * 1024;
const NOTHING = Buffer.alloc(0);

interface Work {
  message: Buffer;
  readonly encoding: 'gzip' | 'deflate';
  readonly terms: InflationTerms;
  readonly done: Inflated;
  /** No one waits for it any more. */
  abandoned: boolean;
  stream: Gunzip | Inflate | undefined;
}

/** Inflates messages off the event loop, in the order of arrival for each owner. */
export class Inflater {
  /** By owner; the first owner is the next one. */
  readonly #waiting = new Map<object, Fifo<Work>>();
  #running = 0;

  /**
   * @param done gets the message, or why there is none; never before this returns
   * @returns a function that says that no one waits for it any more: `done` is not called then
   */
  inflate(message: Buffer, encoding: 'gzip' | 'deflate', terms: InflationTerms, done: Inflated): () => void {
    const work: Work = { message, encoding, terms, done, abandoned: false, stream: undefined };
    this.#queueOf(terms.owner).push(work);
    this.#next();
    return () => {
      work.abandoned = true;
      // It may be far back in the queue, and its bytes are no longer counted.
      work.message = NOTHING;
      work.stream?.destroy();
    };
  }

  #queueOf(owner: object): Fifo<Work> {
    const found = this.#waiting.get(owner);
    if (found !== undefined) return found;
    const made = new Fifo<Work>();
    this.#waiting.set(owner, made);
    return made;
  }

  #next(): void {
    for (const [owner, queue] of this.#waiting) {
      if (this.#running === AT_A_TIME) return;
      const work = queue.shift();
      // Moves the owner to the end: a map also iterates over entries added during the iteration.
      this.#waiting.delete(owner);
      if (queue.length > 0) this.#waiting.set(owner, queue);
      if (work !== undefined && !work.abandoned) this.#run(work);
    }
  }

  #run(work: Work): void {
    this.#running++;
    const { message, encoding, terms } = work;
    const options = { chunkSize: CHUNK_BYTES };
    // "deflate" is the zlib format of RFC 1950, as in HTTP.
    const stream = encoding === 'gzip' ? createGunzip(options) : createInflate(options);
    const chunks: Buffer[] = [];
    let total = 0;
    let outcome: Buffer | InferError = malformed(encoding, 'unexpected end of file');
    const fail = (failure: InferError): void => {
      outcome = failure;
      stream.destroy();
    };
    work.stream = stream;
    stream.on('data', (chunk: Buffer) => {
      if (work.abandoned || stream.destroyed) return;
      total += chunk.length;
      if (total > terms.limit.bytes) {
        fail(terms.limit.exceededInflated());
        return;
      }
      try {
        terms.hold(chunk.length, total);
        chunks.push(chunk);
      } catch (thrown) {
        fail(InferError.from(thrown));
      }
    });
    stream.on('end', () => {
      const isWhole = stream.bytesWritten === message.length;
      outcome = isWhole ? joined(chunks, total) : malformed(encoding, 'bytes follow its end');
    });
    stream.on('error', (error) => {
      outcome = malformed(encoding, error.message);
    });
    stream.on('close', () => {
      this.#running--;
      // Thousands of messages may be inflated before these would be collected.
      for (const chunk of chunks) freeOwnBuffer(chunk);
      if (!work.abandoned) work.done(outcome);
      this.#next();
    });
    stream.end(message);
  }
}

/** One buffer of its own, so that its memory can be given back. */
function joined(chunks: readonly Buffer[], byteLength: number): Buffer {
  const message = Buffer.allocUnsafeSlow(byteLength);
  let at = 0;
  for (const chunk of chunks) at += chunk.copy(message, at);
  return message;
}

function malformed(encoding: string, why: string): InferError {
  return new InferError('malformed_message', `the message is not ${encoding}: ${why}`);
}
