/** Memory of a process, as the kernel counts it. */

import fs from 'node:fs/promises';

/**
 * Bytes of a process' resident memory, including mapped files. Memory shared with other processes, such as the code of Node and
 * ONNX Runtime, counts in equal parts for each of them (proc_pid_smaps(5)), so that sums are true. Shared memory for tensors is
 * left out. If the kernel does not report parts, it counts whole.
 * @returns undefined if the process is gone, or the system has no `/proc`.
 */
export async function processMemory(pid: number): Promise<number | undefined> {
  const rollup = await read(`/proc/${pid}/smaps_rollup`);
  return sumOf(rollup, ['Pss_Anon', 'Pss_File']) ?? sumOf(await read(`/proc/${pid}/status`), ['RssAnon', 'RssFile']);
}

function sumOf(text: string, keys: readonly string[]): number | undefined {
  let bytes = 0;
  for (const key of keys) {
    const kilobytes = new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1];
    if (kilobytes === undefined) return undefined;
    bytes += Number(kilobytes) * 1_024;
  }
  return bytes;
}

function read(file: string): Promise<string> {
  return fs.readFile(file, 'utf8').catch(() => '');
}
