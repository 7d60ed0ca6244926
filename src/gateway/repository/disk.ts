/**
 * File operations on the model repository and on the server's own state. A network file system may hang, so
 *
 * DISK-1: an operation that takes too long rejects, and its waiters go on;
 * DISK-2: few run at a time. Each holds a thread of libuv's pool until the kernel answers, and a hanging file system must leave
 *     threads for mailboxes: the pool has four.
 */

import { createHash } from 'node:crypto';
import type { BigIntStats, Dirent } from 'node:fs';
import fs from 'node:fs/promises';
import { decodeText } from '../../wire/text-encoding.ts';

/** The file system has not answered in time, so the result is unknown. */
export class DiskTimeout extends Error {}

/** Half of libuv's default pool. */
const MAX_RUNNING = 2;
const LIMIT_MS = 10_000;
/** Contents take as long as their bytes. */
const CONTENT_LIMIT_MS = 60_000;

export class Disk {
  readonly #maxRunning: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(maxRunning: number = MAX_RUNNING) {
    this.#maxRunning = maxRunning;
  }

  /**
   * Runs one operation when a place is free. The place is taken until the operation ends, however late.
   * @param what for the error, such as `reading /models/a`
   * @throws DiskTimeout
   */
  run<T>(what: string, operation: () => Promise<T>, limitMs: number = LIMIT_MS): Promise<T> {
    return new Promise((resolve, reject) => {
      let isLate = false;
      const timer = setTimeout(() => {
        isLate = true;
        reject(new DiskTimeout(`${what} takes longer than ${limitMs / 1_000} s: the file system does not answer`));
      }, limitMs);
      const start = async (): Promise<void> => {
        this.#running++;
        try {
          if (!isLate) resolve(await operation());
        } catch (error) {
          reject(error);
        } finally {
          clearTimeout(timer);
          this.#running--;
          this.#waiting.shift()?.();
        }
      };
      if (this.#running < this.#maxRunning) void start();
      else this.#waiting.push(() => void start());
    });
  }
}

/** All of the process share it: they share its threads. */
export const DISK = new Disk();

/** Distinguishes directories from links without a `stat` each. */
export function readEntries(directory: string): Promise<Dirent[]> {
  return DISK.run(`reading ${directory}`, () => fs.readdir(directory, { withFileTypes: true }));
}

/** The file that a path leads to; `undefined` where there is none that can be seen. */
export async function statFile(file: string): Promise<BigIntStats | undefined> {
  return DISK.run(`looking at ${file}`, () => fs.stat(file, { bigint: true })).catch(absent);
}

export function readBytes(file: string): Promise<Buffer> {
  return DISK.run(`reading ${file}`, () => fs.readFile(file), CONTENT_LIMIT_MS);
}

const CHUNK_BYTES = 1024 * 1024;

/** SHA-256 in hexadecimal digits, read in pieces: a large model takes longer than any limit. */
export async function digestFile(file: string): Promise<string> {
  const hash = createHash('sha256');
  const handle = await DISK.run(`opening ${file}`, () => fs.open(file));
  try {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    for (;;) {
      const { bytesRead } = await DISK.run(`reading ${file}`, () => handle.read(chunk, 0, CHUNK_BYTES));
      if (bytesRead === 0) return hash.digest('hex');
      hash.update(chunk.subarray(0, bytesRead));
    }
  } finally {
    void handle.close().catch(() => {});
  }
}

/** Longest text: a configuration of a thousand tensors has a tenth of it. */
export const MAX_TEXT_BYTES = 1024 * 1024;

/** Only regular files: to read a pipe would never end. */
export async function readText(file: string): Promise<string> {
  const stat = await statFile(file);
  if (stat !== undefined && !stat.isFile()) throw new Error('it is no regular file');
  if (stat !== undefined && stat.size > MAX_TEXT_BYTES) {
    throw new Error(`it has ${stat.size} bytes; at most ${MAX_TEXT_BYTES} are read`);
  }
  return decodeText(await readBytes(file));
}

/** A missing or forbidden path is absent. A path whose state is unknown is an error. */
export function absent(error: unknown): undefined {
  if (error instanceof DiskTimeout) throw error;
  return undefined;
}

/** As `absent`, for a directory: a forbidden directory is not the same as a missing one. */
export function refusedOrAbsent(error: unknown): 'refused' | readonly [] {
  absent(error);
  const { code } = error as NodeJS.ErrnoException;
  return code === 'EACCES' || code === 'EPERM' ? 'refused' : [];
}
