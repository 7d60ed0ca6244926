import fs from 'node:fs';

/** How many files of a directory a process holds open: those without a name count, too. */
export function openMailboxes(pid: number, directory: string): number {
  const folder = `/proc/${pid}/fd`;
  return fs.readdirSync(folder).filter((entry) => {
    try {
      return fs.readlinkSync(`${folder}/${entry}`).startsWith(`${directory}/`);
    } catch {
      return false; // the descriptor of this very listing
    }
  }).length;
}
