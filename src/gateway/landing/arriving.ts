import { Landed, type LandingOwner } from './landed.ts';
import type { LandingFile } from './landing-file.ts';

/** Bytes of one tensor that land as they arrive: in a file, or in memory once the file system has no more room. */
export class Arriving extends Landed {
  readonly #landingFile: LandingFile;
  readonly #start: number;
  #arrived = 0;

  constructor(owner: LandingOwner, file: LandingFile, offset: number, byteLength: number) {
    super(owner, file, offset, byteLength);
    this.#landingFile = file;
    this.#start = offset;
  }

  /** Takes the next bytes as they arrive. */
  append(chunk: Uint8Array, from: number, to: number): void {
    if (!this.isInMemory && this.#tryWrite(chunk, from, to)) {
      this.#arrived += to - from;
      return;
    }
    this.read().set(chunk.subarray(from, to), this.#arrived);
    this.#arrived += to - from;
  }

  protected override get arrivedBytes(): number {
    return this.#arrived;
  }

  /** Where the file system is full, the request goes on in memory, as it would without a file. */
  #tryWrite(chunk: Uint8Array, from: number, to: number): boolean {
    try {
      this.#landingFile.write(chunk, from, to, this.#start + this.#arrived);
      return true;
    } catch {
      return false;
    }
  }
}
