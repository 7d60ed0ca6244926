/** The landing files of the processes that accept requests, as an instance's thread reads them. */

import fs from 'node:fs';
import type { OpenFile } from '../wire/tensor-bytes.ts';
import { pathInProc } from './unnamed-file.ts';

/** A gateway has few files at a time and never closes one; only a process that comes and goes makes new ones. */
const MAX_OPEN = 256;

export class LandedInputs {
  /** By inode: as long as a file is open here, no other has its inode. */
  readonly #opened = new Map<number, number>();

  /** Fills `target` with the bytes from `offset` on. @throws Error where the file is gone, or ends before */
  readSync(file: OpenFile, offset: number, target: Uint8Array): void {
    const opened = this.#opened.get(file.inode) ?? this.#open(file);
    let done = 0;
    while (done < target.byteLength) {
      const got = fs.readSync(opened, target, done, target.byteLength - done, offset + done);
      if (got === 0) throw new Error(`a landing file ends at ${offset + done}, expected ${offset + target.byteLength}`);
      done += got;
    }
  }

  close(): void {
    for (const opened of this.#opened.values()) fs.closeSync(opened);
    this.#opened.clear();
  }

  #open({ pid, descriptor, inode }: OpenFile): number {
    if (this.#opened.size >= MAX_OPEN) this.close();
    const opened = fs.openSync(pathInProc(descriptor, pid), 'r');
    const found = fs.fstatSync(opened).ino;
    if (found !== inode) {
      fs.closeSync(opened);
      throw new Error(`descriptor ${descriptor} of process ${pid} is file ${found}, expected landing file ${inode}`);
    }
    this.#opened.set(inode, opened);
    return opened;
  }
}
