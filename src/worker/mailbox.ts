/**
 * A mailbox: one file on a memory file system through which the tensors of one instance's batches pass.
 *
 * Its name is removed as soon as both sides hold it open, so nothing is left behind whatever ends a process.
 * The gateway writes a batch's inputs from offset 0; the runner writes the outputs behind them; one batch at a time.
 */

import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

/** Up to here a copy blocks the thread for less than handing it to another thread costs. */
const SYNC_LIMIT = 1024 * 1024;
/** A mailbox that grew past this gives its memory back when batches have been smaller for a while. */
const KEEP_BYTES = 64 * 1024 * 1024;
const REVIEW_MS = 1_000;

export class Mailbox {
  readonly path: string;
  readonly #file: number;
  #size = 0;
  /** The most that a batch has needed since the last review. */
  #peak = 0;
  #busy = false;
  #review: NodeJS.Timeout | undefined;
  #linked: boolean;

  private constructor(file: number, filePath: string, linked: 'linked' | 'unlinked') {
    this.#file = file;
    this.path = filePath;
    this.#linked = linked === 'linked';
  }

  /**
   * Makes a new mailbox, readable by this user alone.
   * @throws Error that names `directory` where no file can be made in it
   */
  static create(directory: string): Mailbox {
    const filePath = path.join(directory, `tensorgate-${process.pid}-${randomBytes(8).toString('hex')}`);
    try {
      return new Mailbox(fs.openSync(filePath, 'wx+', 0o600), filePath, 'linked');
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      const advice = 'give a directory of a memory file system with --mailbox-directory';
      throw new Error(`no mailbox can be made in '${directory}' (${code}): ${advice}`, { cause });
    }
  }

  /** Opens a mailbox that the other side made. */
  static open(filePath: string): Mailbox {
    return new Mailbox(fs.openSync(filePath, 'r+'), filePath, 'unlinked');
  }

  /** Removes the name; those who hold the file go on using it. */
  unlink(): void {
    if (!this.#linked) return;
    this.#linked = false;
    fs.rmSync(this.path, { force: true });
  }

  /** Writes `chunks` one behind the other from `offset`, in one vectored write. Takes no copy: they must not change meanwhile. */
  async write(chunks: readonly Uint8Array[], offset: number): Promise<void> {
    const total = byteLength(chunks);
    this.#busy = true;
    this.#size = Math.max(this.#size, offset + total);
    if (total <= SYNC_LIMIT) {
      this.writeSync(chunks, offset);
      return;
    }
    let rest: readonly Uint8Array[] = chunks;
    let at = offset;
    while (rest.length > 0) {
      const written = await new Promise<number>((resolve, reject) => {
        fs.writev(this.#file, rest, at, (error, bytes) => (error ? reject(error) : resolve(bytes)));
      });
      at += written;
      rest = after(rest, written);
    }
  }

  writeSync(chunks: readonly Uint8Array[], offset: number): void {
    let rest: readonly Uint8Array[] = chunks;
    let at = offset;
    while (rest.length > 0) {
      const written = fs.writevSync(this.#file, rest, at);
      at += written;
      rest = after(rest, written);
    }
    this.#size = Math.max(this.#size, at);
  }

  /** Reads `length` bytes at `offset` into a buffer of their own. */
  async read(offset: number, length: number): Promise<Uint8Array> {
    const target = Buffer.allocUnsafeSlow(length);
    if (length <= SYNC_LIMIT) {
      this.readSync(target, offset);
      return target;
    }
    let done = 0;
    while (done < length) {
      const got = await new Promise<number>((resolve, reject) => {
        fs.read(this.#file, target, done, length - done, offset + done, (error, bytes) =>
          error ? reject(error) : resolve(bytes),
        );
      });
      if (got === 0) throw new Error(`mailbox ends at ${offset + done}, expected ${offset + length} bytes`);
      done += got;
    }
    return target;
  }

  readSync(target: Uint8Array, offset: number): void {
    let done = 0;
    while (done < target.byteLength) {
      const got = fs.readSync(this.#file, target, done, target.byteLength - done, offset + done);
      if (got === 0) throw new Error(`mailbox ends at ${offset + done}, expected ${offset + target.byteLength} bytes`);
      done += got;
    }
  }

  /**
   * After a batch: `reached` is where its outputs end. The memory of unusually large ones is given back when none has come for
   * a second: to give it back and to take it again for each of many costs as much as to copy their tensors.
   */
  settle(reached: number): void {
    this.#busy = false;
    this.#size = Math.max(this.#size, reached);
    this.#peak = Math.max(this.#peak, reached);
    if (this.#size > KEEP_BYTES) this.#reviewLater();
  }

  /** Gives all memory back: after a batch for which there may have been too little. */
  empty(): void {
    fs.ftruncateSync(this.#file, 0);
    this.#size = 0;
    this.#busy = false;
  }

  close(): void {
    clearTimeout(this.#review);
    this.unlink();
    fs.closeSync(this.#file);
  }

  #reviewLater(): void {
    this.#review ??= setTimeout(() => this.#giveBack(), REVIEW_MS).unref();
  }

  #giveBack(): void {
    this.#review = undefined;
    const needed = this.#peak;
    this.#peak = 0;
    if (needed <= KEEP_BYTES && !this.#busy) this.empty();
    else this.#reviewLater();
  }
}

export function byteLength(chunks: readonly Uint8Array[]): number {
  let total = 0;
  for (const chunk of chunks) total += chunk.byteLength;
  return total;
}

/** What is left of `chunks` after their first `count` bytes: empty once all are written. */
function after(chunks: readonly Uint8Array[], count: number): readonly Uint8Array[] {
  let skip = count;
  for (const [index, chunk] of chunks.entries()) {
    if (skip < chunk.byteLength) {
      return skip === 0 ? chunks.slice(index) : [chunk.subarray(skip), ...chunks.slice(index + 1)];
    }
    skip -= chunk.byteLength;
  }
  return [];
}
