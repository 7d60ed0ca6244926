/** The landing files of the processes that accept requests, as an instance's thread reads them. */

import fs from 'node:fs';
import type { OpenFile } from '../wire/tensor-bytes.ts';
import { openInProc, readWhole } from './unnamed-file.ts';

/** A gateway has few files at a time and never closes one; only a process that comes and goes makes new ones. */
const MAX_OPEN = 256;

export class LandedInputs {
  /** By inode: as long as a file is open here, no other has its inode. */
  readonly #opened = new Map<number, number>();

  /** Fills `target` with the bytes from `offset` on. @throws Error where the file is gone, or ends before */
  readSync(file: OpenFile, offset: number, target: Uint8Array): void {
    readWhole(this.#opened.get(file.inode) ?? this.#open(file), target, offset);
  }

  close(): void {
    for (const opened of this.#opened.values()) fs.closeSync(opened);
    this.#opened.clear();
  }

  #open(file: OpenFile): number {
    if (this.#opened.size >= MAX_OPEN) this.close();
    const opened = openInProc(file, fs.constants.O_RDONLY);
    this.#opened.set(file.inode, opened);
    return opened;
  }
}
