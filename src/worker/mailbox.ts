/**
 * A mailbox: one file on a memory file system through which the tensors of one instance's batches pass.
 *
 * The file has no name, so whatever ends a process, and whenever, the kernel takes its memory back.
 * The gateway writes a batch's inputs from offset 0; the runner writes the outputs behind them; one batch at a time.
 */

import fs from 'node:fs';
import path from 'node:path';
import { isVisibleInProc, openUnnamed, pathInProc, readWhole } from './unnamed-file.ts';

/** Up to here a copy blocks the thread for less than handing it to another thread costs. */
const SYNC_LIMIT = 1024 * 1024;
/** An idle mailbox of at most this size keeps its memory: few pages, which its next batch would only take again. */
const KEEP_BYTES = 64 * 1024;
const REVIEW_MS = 1_000;

export class Mailbox {
  /** Where the runner opens the file. */
  readonly path: string;
  readonly #file: number;
  #size = 0;
  /** The most that a batch has needed since the last review. */
  #peak = 0;
  #busy = false;
  #review: NodeJS.Timeout | undefined;

  private constructor(file: number, filePath: string) {
    this.#file = file;
    this.path = filePath;
  }

  /**
   * Makes a new mailbox, readable by this user only.
   *
   * The runner opens it as `/proc/<this process>/fd/<n>`. Without such a path (another system, or the `/proc` of another PID
   * namespace) the file keeps a name until the runner has opened it.
   * @throws Error that names `directory` where no file can be made in it
   */
  static create(directory: string): Mailbox {
    const isInProc = isVisibleInProc();
    const file = isInProc ? openUnnamed(directory) : undefined;
    if (file !== undefined) return new Mailbox(file, pathInProc(file));
    const filePath = path.join(directory, `tensorgate-${process.pid}-${crypto.randomUUID()}`);
    const named = openNamed(filePath, directory);
    if (!isInProc) return new Mailbox(named, filePath);
    fs.unlinkSync(filePath);
    return new Mailbox(named, pathInProc(named));
  }

  /** Opens a mailbox that the other side made, and removes its name where it has one. */
  static open(filePath: string): Mailbox {
    const file = fs.openSync(filePath, 'r+');
    if (!isPathInProc(filePath)) fs.rmSync(filePath, { force: true });
    return new Mailbox(file, filePath);
  }

  get busy(): boolean {
    return this.#busy;
  }

  /** Bytes of memory that it holds, as far as this side knows. */
  get size(): number {
    return this.#size;
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

  /** Fills `target` with the bytes from `offset` on. */
  async read(target: Uint8Array, offset: number): Promise<void> {
    const { byteLength: length } = target;
    if (length <= SYNC_LIMIT) {
      this.readSync(target, offset);
      return;
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
  }

  readSync(target: Uint8Array, offset: number): void {
    readWhole(this.#file, target, offset, 'mailbox');
  }

  /**
   * Ends a batch; `reached` is where its outputs end. Memory that no batch has used for a second is given back; doing so after
   * each batch would cost as much as copying its tensors.
   */
  release(reached: number): void {
    this.#busy = false;
    this.#size = Math.max(this.#size, reached);
    this.#peak = Math.max(this.#peak, reached);
    if (this.#size > KEEP_BYTES) this.#reviewLater();
  }

  /** Gives all memory back: after a batch for which there may have been too little. */
  empty(): void {
    this.#shrink(0);
    this.#busy = false;
  }

  close(): void {
    clearTimeout(this.#review);
    if (!isPathInProc(this.path)) fs.rmSync(this.path, { force: true });
    fs.closeSync(this.#file);
  }

  #shrink(size: number): void {
    fs.ftruncateSync(this.#file, size);
    this.#size = size;
  }

  #reviewLater(): void {
    this.#review ??= setTimeout(() => this.#giveBack(), REVIEW_MS).unref();
  }

  #giveBack(): void {
    this.#review = undefined;
    const used = this.#peak;
    this.#peak = 0;
    // Batches vary: half of the memory unused is worth a system call, a little of it is not.
    if (!this.#busy && used <= this.#size / 2) this.#shrink(used);
    if (this.#busy || this.#size > KEEP_BYTES) this.#reviewLater();
  }
}

function isPathInProc(filePath: string): boolean {
  return /^\/proc\/\d+\/fd\/\d+$/.test(filePath);
}

function openNamed(filePath: string, directory: string): number {
  try {
    return fs.openSync(filePath, 'wx+', 0o600);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const advice =
      'it must be a writable directory, best on a memory file system; serve takes another with --mailbox-directory';
    throw new Error(`no mailbox can be made in '${directory}' (${code}): ${advice}`, { cause });
  }
}

/** The file system has no room for the data: memory, or a quota, is used up. */
export function isNoRoom(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT');
}

export function byteLength(chunks: readonly Uint8Array[]): number {
  let total = 0;
  for (const chunk of chunks) total += chunk.byteLength;
  return total;
}

/** The rest of `chunks` after their first `count` bytes; empty once all are written. */
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
