/** Files without a name: whatever ends their process, and whenever, the kernel takes their memory back. */

import fs from 'node:fs';
import type { OpenFile } from '../wire/tensor-bytes.ts';

/** Linux: open a file without a name in a directory. Node has no constant for it; O_DIRECTORY, a part of it, differs by architecture. */
const O_TMPFILE = 0o20000000 | fs.constants.O_DIRECTORY;

/** `undefined` where the file system has no files without a name, or the directory takes no file at all. O_EXCL: it never gets a name. */
export function openUnnamed(directory: string): number | undefined {
  try {
    return fs.openSync(directory, O_TMPFILE | fs.constants.O_EXCL | fs.constants.O_RDWR, 0o600);
  } catch {
    return undefined;
  }
}

/** Whether `/proc` shows this process to its children under its own number. */
export function isVisibleInProc(): boolean {
  try {
    return (
      fs.readlinkSync('/proc/self') === String(process.pid) && fs.statSync('/proc/self').uid === process.geteuid?.()
    );
  } catch {
    return false;
  }
}

/** Where other processes of the same user open a file of `pid`. */
export function pathInProc(file: number, pid = process.pid): string {
  return `/proc/${pid}/fd/${file}`;
}

/**
 * Fills `target` with the bytes of a file from `offset` on.
 * @param name of the file, for the error
 * @throws Error where it ends before
 */
export function readWhole(descriptor: number, target: Uint8Array, offset: number, name = 'a landing file'): void {
  let done = 0;
  while (done < target.byteLength) {
    const got = fs.readSync(descriptor, target, done, target.byteLength - done, offset + done);
    if (got === 0) throw new Error(`${name} ends at ${offset + done}, expected ${offset + target.byteLength} bytes`);
    done += got;
  }
}

/**
 * Opens a file that a process of the same user holds open.
 * @param access `O_RDONLY` or `O_RDWR`
 * @throws Error where the descriptor is another file by now
 */
export function openInProc({ pid, descriptor, inode }: OpenFile, access: number): number {
  // Nothing that the descriptor may have become since then may block.
  const opened = fs.openSync(pathInProc(descriptor, pid), access | fs.constants.O_NONBLOCK);
  const found = fs.fstatSync(opened).ino;
  if (found === inode) return opened;
  fs.closeSync(opened);
  throw new Error(`descriptor ${descriptor} of process ${pid} is file ${found}, expected landing file ${inode}`);
}
