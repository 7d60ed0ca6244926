import type { FilePlace, LandedBytes, OpenFile } from '../../wire/tensor-bytes.ts';

/** The landing that bytes belong to. */
export interface LandingOwner {
  /** The bytes have left their file. */
  left(landed: Landed): void;
}

/** A file in which bytes lie. */
export interface HoldingFile {
  /** Where a runner opens it. */
  readonly place: OpenFile;
  /** Fills the target with the bytes from `offset` on. */
  read(target: Uint8Array, offset: number): void;
  /** The range is free again. */
  give(offset: number, bytes: number): void;
}

/** Bytes of one tensor that lie in a file, until they are moved into memory or nothing needs them any more. */
export class Landed implements LandedBytes {
  readonly byteLength: number;
  readonly #owner: LandingOwner;
  readonly #offset: number;
  /** `undefined` once its range was given back. */
  #file: HoldingFile | undefined;
  #memory: Uint8Array | undefined;
  #holders = 1;
  /** Runs that may read the file now. */
  #readers = 0;

  constructor(owner: LandingOwner, file: HoldingFile, offset: number, byteLength: number) {
    this.#owner = owner;
    this.#file = file;
    this.#offset = offset;
    this.byteLength = byteLength;
  }

  /** A run may read the file now. */
  get isLent(): boolean {
    return this.#readers > 0;
  }

  protected get isInMemory(): boolean {
    return this.#memory !== undefined;
  }

  /** Bytes that lie in the file. */
  protected get arrivedBytes(): number {
    return this.byteLength;
  }

  read(): Uint8Array {
    if (this.#memory !== undefined) return this.#memory;
    const memory = Buffer.allocUnsafeSlow(this.byteLength);
    this.#fileNow().read(memory.subarray(0, this.arrivedBytes), this.#offset);
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

  #fileNow(): HoldingFile {
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
