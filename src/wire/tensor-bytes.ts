/**
 * The bytes of a tensor, in memory or in a landing file: bytes that a process has received and keeps outside of its heap until a
 * runner reads them there.
 */

/** A file that its process holds open, and that other processes of the same user can open through it. */
export interface OpenFile {
  readonly pid: number;
  readonly descriptor: number;
  /** By which it is known to be that file still. */
  readonly inode: number;
}

/** Where bytes lie in a file. */
export interface FilePlace {
  readonly file: OpenFile;
  /** In bytes. */
  readonly offset: number;
}

/**
 * Bytes that landed in a file.
 *
 * LAND-1: their room in the file is freed exactly once: when all holders have released them, or they have been read into memory,
 *         and no run reads them there.
 */
export interface LandedBytes {
  readonly byteLength: number;
  /** The bytes in memory. They are moved there, once: from then on they have no place in a file. */
  read(): Uint8Array;
  /** A part of them, of the same holders. */
  slice(from: number, to: number): LandedBytes;
  /** Where a run may read them until `giveBack`; `undefined` where they are in memory. */
  lend(): FilePlace | undefined;
  giveBack(): void;
  /** One more holder, who calls `release` in the end. */
  retain(): void;
  release(): void;
}

export type TensorBytes = Uint8Array | LandedBytes;

export function isLanded(bytes: TensorBytes): bytes is LandedBytes {
  return !(bytes instanceof Uint8Array);
}

/** The bytes in memory, for code that looks at values. */
export function bytesOf(bytes: TensorBytes): Uint8Array {
  return bytes instanceof Uint8Array ? bytes : bytes.read();
}

/** Says for one holder that the bytes of these tensors are no longer needed. */
export function releaseAll(tensors: readonly TensorBytes[]): void {
  for (const bytes of tensors) if (isLanded(bytes)) bytes.release();
}
