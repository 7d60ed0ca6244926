import type { FilePlace, LandedBytes } from '../../wire/tensor-bytes.ts';
import type { LandingFile } from './landing-file.ts';

/** The landing that bytes belong to. */
interface LandingOwner {
  /** The bytes have left their file. */
  left(landed: Landed): void;
}

/** Bytes of one tensor that land as they arrive: in a file, or in memory once the file system has no more room. */
export class Landed implements LandedBytes {
  readonly byteLength: number;
  readonly #owner: LandingOwner;
  readonly #offset: number;
  /** `undefined` once its range was given back. */
  #file: LandingFile | undefined;
  #memory: Uint8Array | undefined;
  #arrived = 0;
  #holders = 1;
  /** Runs that may read the file now. */
  #readers = 0;

  constructor(owner: LandingOwner, file: LandingFile, offset: number, byteLength: number) {
    this.#owner = owner;
    this.#file = file;
    this.#offset = offset;
    this.byteLength = byteLength;
  }

  /** A run may read the file now. */
  get isLent(): boolean {
    return this.#readers > 0;
  }

  /** Takes the next bytes as they arrive. */
  append(chunk: Uint8Array, from: number, to: number): void {
    if (this.#memory === undefined) {
      try {
        this.#fileNow().write(chunk, from, to, this.#offset + this.#arrived);
        this.#arrived += to - from;
        return;
      } catch {
        // The file system is full: the request goes on in memory, as it would without a file.
        this.read();
      }
    }
    this.#memory?.set(chunk.subarray(from, to), this.#arrived);
    this.#arrived += to - from;
  }

  read(): Uint8Array {
    if (this.#memory !== undefined) return this.#memory;
    const memory = Buffer.allocUnsafeSlow(this.byteLength);
    this.#fileNow().read(memory.subarray(0, this.#arrived), this.#offset);
    this.#memory = memory;
    this.#leave();
    return memory;
  }

  slice(from: number, to: number): LandedBytes {
    return new LandedSlice(this, from, to);
  }

  lend(): FilePlace | undefined {
    if (this.#memory !== undefined) return undefined;
    const file = this.#fileNow();
    this.#readers++;
    return { file: file.place, offset: this.#offset };
  }

  giveBack(): void {
    this.#readers--;
    this.#leave();
  }

  retain(): void {
    this.#holders++;
  }

  release(): void {
    this.#holders--;
    this.#leave();
  }

  /** LAND-1 */
  #leave(): void {
    const isNeeded = this.#readers > 0 || (this.#holders > 0 && this.#memory === undefined);
    if (isNeeded || this.#file === undefined) return;
    this.#file.give(this.#offset, this.byteLength);
    this.#file = undefined;
    this.#owner.left(this);
  }

  #fileNow(): LandingFile {
    if (this.#file === undefined) throw new Error('bytes of a request that has ended are asked for');
    return this.#file;
  }
}

/** A part of landed bytes, such as some rows, or one of several tensors that came together. */
class LandedSlice implements LandedBytes {
  readonly byteLength: number;
  readonly #whole: LandedBytes;
  readonly #from: number;

  constructor(whole: LandedBytes, from: number, to: number) {
    this.#whole = whole;
    this.#from = from;
    this.byteLength = to - from;
  }

  read(): Uint8Array {
    return this.#whole.read().subarray(this.#from, this.#from + this.byteLength);
  }

  slice(from: number, to: number): LandedBytes {
    return new LandedSlice(this.#whole, this.#from + from, this.#from + to);
  }

  lend(): FilePlace | undefined {
    const place = this.#whole.lend();
    return place === undefined ? undefined : { file: place.file, offset: place.offset + this.#from };
  }

  giveBack(): void {
    this.#whole.giveBack();
  }

  retain(): void {
    this.#whole.retain();
  }

  release(): void {
    this.#whole.release();
  }
}
