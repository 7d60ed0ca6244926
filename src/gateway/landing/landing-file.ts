/** One file without a name, on the file system of the mailboxes, in which the bytes of large tensors land. */

import fs from 'node:fs';
import type { OpenFile } from '../../wire/tensor-bytes.ts';
import { openUnnamed, readWhole } from '../../worker/unnamed-file.ts';
import { FreeRanges } from './free-ranges.ts';
import type { HoldingFile } from './landed.ts';

/** A tensor that is larger has a file by itself. */
export const FILE_BYTES = 32 * 1024 * 1024;

export class LandingFile implements HoldingFile {
  readonly place: OpenFile;
  readonly bytes: number;
  readonly #descriptor: number;
  readonly #ranges: FreeRanges;
  /** Up to here it may hold memory. */
  #reach = 0;
  /** Taken since the last review. */
  #isUsed = false;

  private constructor(descriptor: number, bytes: number) {
    this.#descriptor = descriptor;
    this.bytes = bytes;
    this.#ranges = new FreeRanges(bytes);
    this.place = { pid: process.pid, descriptor, inode: fs.fstatSync(descriptor).ino };
  }

  /** `undefined` where no file without a name can be made in `directory`. */
  static open(directory: string, bytes: number): LandingFile | undefined {
    const descriptor = openUnnamed(directory);
    return descriptor === undefined ? undefined : new LandingFile(descriptor, bytes);
  }

  /** Bytes of memory that it may hold. */
  get reach(): number {
    return this.#reach;
  }

  /** Bytes that are taken. */
  get taken(): number {
    return this.#ranges.taken;
  }

  /**
   * @param mayGrow whether the file may hold so many more bytes of memory
   * @returns the offset of a free range; `undefined`: there is none
   */
  take(bytes: number, mayGrow: (bytes: number) => boolean): number | undefined {
    const offset = this.#ranges.take(bytes);
    if (offset === undefined) return undefined;
    const end = offset + bytes;
    if (end > this.#reach && !mayGrow(end - this.#reach)) {
      this.#ranges.give(offset, bytes);
      return undefined;
    }
    this.#isUsed = true;
    this.#reach = Math.max(this.#reach, end);
    return offset;
  }

  give(offset: number, bytes: number): void {
    this.#ranges.give(offset, bytes);
  }

  /** @throws Error where the file system has no room */
  write(chunk: Uint8Array, from: number, to: number, offset: number): void {
    let at = from;
    while (at < to) at += fs.writeSync(this.#descriptor, chunk, at, to - at, offset + at - from);
  }

  read(target: Uint8Array, offset: number): void {
    readWhole(this.#descriptor, target, offset);
  }

  /** Gives its memory back where nothing is taken. @param when `unused`: nothing was taken since the last review either */
  empty(when: 'now' | 'unused'): void {
    const wasUsed = this.#isUsed;
    if (when === 'unused') this.#isUsed = false;
    if (!this.#ranges.isUntouched || this.#reach === 0 || (when === 'unused' && wasUsed)) return;
    fs.ftruncateSync(this.#descriptor, 0);
    this.#reach = 0;
  }

  close(): void {
    fs.closeSync(this.#descriptor);
  }
}
