/** Files without a name: whatever ends their process, and whenever, the kernel takes their memory back. */

import fs from 'node:fs';

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
