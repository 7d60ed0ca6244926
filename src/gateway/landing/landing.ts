/**
 * Where the bytes of large tensors land as they arrive, so that they are neither put together in memory nor written a second time
 * when their batch runs: files on the file system of the mailboxes, owned by the process that accepts the requests.
 *
 * LANDING-1: at least half of the file system stays free for mailboxes; where less is free, requests stay in memory.
 * LANDING-2: bytes that no run reads are moved into memory where a batch needs the room (`evacuate`).
 * LANDING-3: a file that was not used for a while holds no memory.
 */

import fs from 'node:fs';
import { Bag } from '../../bag.ts';
import { isVisibleInProc } from '../../worker/unnamed-file.ts';
import { Arriving } from './arriving.ts';
import type { Landed } from './landed.ts';
import { FILE_BYTES, LandingFile } from './landing-file.ts';

/** Each is a descriptor here and in every runner's thread. */
const MAX_FILES = 64;
const REVIEW_MS = 1_000;

const LANDINGS = new Map<string, Landing>();

export class Landing {
  readonly #directory: string;
  readonly #files: LandingFile[] = [];
  readonly #landed = new Bag<Landed>();
  /** Called when bytes have left their file. */
  onFree: () => void = () => {};
  #review: NodeJS.Timeout | undefined;
  #closed = false;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** The landing of a directory, one per process: servers that follow each other, or run beside each other, share its files. */
  static in(directory: string): Landing | undefined {
    const landing = LANDINGS.get(directory) ?? Landing.open(directory);
    if (landing !== undefined) LANDINGS.set(directory, landing);
    return landing;
  }

  /** `undefined` where runners could not open the files, or the directory takes none without a name. */
  static open(directory: string): Landing | undefined {
    const trial = isVisibleInProc() ? LandingFile.open(directory, FILE_BYTES) : undefined;
    trial?.close();
    return trial === undefined ? undefined : new Landing(directory);
  }

  /** Tensors that lie in files. */
  get size(): number {
    return this.#landed.size;
  }

  /** Bytes that runs may read now, which cannot be moved. */
  get lentBytes(): number {
    let bytes = 0;
    for (const landed of this.#landed) if (landed.isLent) bytes += landed.byteLength;
    return bytes;
  }

  /** Room for a tensor; `undefined`: there is none. */
  tryLand(byteLength: number): Arriving | undefined {
    for (const file of this.#files) {
      const landed = this.#landIn(file, byteLength);
      if (landed !== undefined) return landed;
    }
    const opened = this.#openFile(Math.max(FILE_BYTES, byteLength));
    return opened === undefined ? undefined : this.#landIn(opened, byteLength);
  }

  /** Moves all that no run reads into memory, and gives the room back. */
  evacuate(): void {
    for (const landed of [...this.#landed]) if (!landed.isLent) landed.read();
    for (const file of this.#files) file.empty('now');
  }

  /** No request may hold bytes any more. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#review);
    for (const file of this.#files.splice(0)) file.close();
  }

  /** For the bytes that have landed. */
  left(landed: Landed): void {
    this.#landed.delete(landed);
    this.onFree();
  }

  #landIn(file: LandingFile, byteLength: number): Arriving | undefined {
    const offset = file.take(byteLength, this.#leavesRoom);
    if (offset === undefined) return undefined;
    const landed = new Arriving(this, file, offset, byteLength);
    this.#landed.add(landed);
    this.#reviewLater();
    return landed;
  }

  /** LANDING-1 */
  readonly #leavesRoom = (more: number): boolean => {
    const { blocks, bavail, bsize } = fs.statfsSync(this.#directory);
    // A memory file system without a limit says that it has no blocks.
    return blocks === 0 || bavail * bsize - more >= (blocks * bsize) / 2;
  };

  #openFile(bytes: number): LandingFile | undefined {
    if (this.#closed || this.#files.length === MAX_FILES) return undefined;
    const file = LandingFile.open(this.#directory, bytes);
    if (file !== undefined) this.#files.push(file);
    return file;
  }

  #reviewLater(): void {
    this.#review ??= setTimeout(() => {
      this.#review = undefined;
      for (const file of this.#files) file.empty('unused');
      if (this.#files.some(({ reach }) => reach > 0)) this.#reviewLater();
    }, REVIEW_MS).unref();
  }
}
