/**
 * The tensors that acceptors have handed over, as the owner of all calls holds them: they lie in files of the acceptors, and the owner
 * reads their bytes only where something looks at values.
 *
 * BORROW-1: an acceptor that ends takes no tensor along. The owner has opened its files itself, and empties and closes them when the
 *           last tensor in them is released.
 */

import fs from 'node:fs';
import { Bag } from '../../bag.ts';
import type { FilePlace, OpenFile, TensorBytes } from '../../wire/tensor-bytes.ts';
import { openInProc, readWhole } from '../../worker/unnamed-file.ts';
import { type HoldingFile, Landed, type LandingOwner } from './landed.ts';

/** A tensor whose bytes stay in the acceptor's file until the owner releases it by its number. */
export interface HandedTensor {
  readonly number: number;
  readonly place: FilePlace;
  readonly byteLength: number;
}

/** Counts as held while an acceptor empties its files: a batch that finds no room waits for that. */
const EMPTYING_BYTES = 1024 * 1024;

/** The tensors of all acceptors. It is the room that landed tensors take (`dispatch/mailbox-room.ts`). */
export class BorrowedTensors implements LandingOwner {
  onFree: () => void = () => {};
  static readonly #ofDirectory = new Map<string, BorrowedTensors>();
  readonly #borrowed = new Bag<Landed>();
  readonly #files = new Set<AcceptorFiles>();

  /** The tensors in a directory, one object per process: servers that run beside each other share it. */
  static in(directory: string): BorrowedTensors {
    const borrowed = BorrowedTensors.#ofDirectory.get(directory) ?? new BorrowedTensors();
    BorrowedTensors.#ofDirectory.set(directory, borrowed);
    return borrowed;
  }

  /** Tensors that lie in files. */
  get size(): number {
    return this.#borrowed.size;
  }

  /** Bytes that runs read now, or that acceptors are about to free. */
  get lentBytes(): number {
    let bytes = 0;
    for (const tensor of this.#borrowed) if (tensor.isLent) bytes += tensor.byteLength;
    for (const { isEmptying } of this.#files) if (isEmptying) bytes += EMPTYING_BYTES;
    return bytes;
  }

  /** Moves all that no run reads into memory, and has the acceptors free what they can. */
  evacuate(): void {
    for (const tensor of [...this.#borrowed]) if (!tensor.isLent) tensor.read();
    for (const files of this.#files) files.empty();
  }

  /** The files of one more acceptor. */
  filesOf(line: FilesLine): AcceptorFiles {
    const files = new AcceptorFiles(line, this);
    this.#files.add(files);
    return files;
  }

  /** For a tensor that is held from now on. */
  add(tensor: Landed): void {
    this.#borrowed.add(tensor);
  }

  /** For a tensor whose bytes have left their file. */
  left(tensor: Landed): void {
    this.#borrowed.delete(tensor);
    this.onFree();
  }

  /** For the files of an acceptor that has ended. */
  remove(files: AcceptorFiles): void {
    this.#files.delete(files);
    this.onFree();
  }
}

/** The line on which the owner speaks of the files to their acceptor. */
export interface FilesLine {
  released(number: number): void;
  /** Asks for as much room as can be freed; `emptied` answers. */
  empty(): void;
}

/** The files of one acceptor. */
export class AcceptorFiles {
  readonly #line: FilesLine;
  readonly #all: BorrowedTensors;
  /** By inode. */
  readonly #opened = new Map<number, AcceptorFile>();
  #isEmptying = false;
  /** The acceptor may hold room since it was last asked. */
  #mayHold = false;
  #isClosed = false;

  constructor(line: FilesLine, all: BorrowedTensors) {
    this.#line = line;
    this.#all = all;
  }

  get isEmptying(): boolean {
    return this.#isEmptying;
  }

  /** @throws Error where its file cannot be opened */
  borrow({ number, place, byteLength }: HandedTensor): TensorBytes {
    const file = this.#opened.get(place.file.inode) ?? this.#open(place.file);
    const tensor = new Landed(this.#all, new BorrowedRange(this, file, number), place.offset, byteLength);
    file.tensors++;
    this.#mayHold = true;
    this.#all.add(tensor);
    return tensor;
  }

  /** Does without a tensor that could not be borrowed. */
  reject({ number }: HandedTensor): void {
    this.#line.released(number);
  }

  empty(): void {
    if (!this.#mayHold || this.#isEmptying || this.#isClosed) return;
    this.#mayHold = false;
    this.#isEmptying = true;
    this.#line.empty();
  }

  emptied(): void {
    this.#isEmptying = false;
    this.#all.onFree();
  }

  /** The acceptor has ended. */
  close(): void {
    this.#isClosed = true;
    this.#isEmptying = false;
    for (const file of this.#opened.values()) this.#closeUnused(file);
    this.#all.remove(this);
  }

  /** For a tensor that is not needed in its file any more. */
  release(file: AcceptorFile, number: number): void {
    file.tensors--;
    if (this.#isClosed) this.#closeUnused(file);
    else this.#line.released(number);
  }

  #open(place: OpenFile): AcceptorFile {
    const file = new AcceptorFile({ ...place, descriptor: openInProc(place, fs.constants.O_RDWR) });
    this.#opened.set(place.inode, file);
    return file;
  }

  #closeUnused(file: AcceptorFile): void {
    if (file.tensors > 0) return;
    this.#opened.delete(file.place.inode);
    // Runners keep it open: without this it would keep its memory.
    fs.ftruncateSync(file.place.descriptor, 0);
    fs.closeSync(file.place.descriptor);
  }
}

/** A file of an acceptor that the owner has opened. */
class AcceptorFile {
  readonly place: OpenFile;
  /** Tensors in it that are not released. */
  tensors = 0;

  constructor(place: OpenFile) {
    this.place = place;
  }
}

/** The part of a file that one tensor lies in. */
class BorrowedRange implements HoldingFile {
  readonly #files: AcceptorFiles;
  readonly #file: AcceptorFile;
  readonly #number: number;

  constructor(files: AcceptorFiles, file: AcceptorFile, number: number) {
    this.#files = files;
    this.#file = file;
    this.#number = number;
  }

  get place(): OpenFile {
    return this.#file.place;
  }

  read(target: Uint8Array, offset: number): void {
    readWhole(this.#file.place.descriptor, target, offset);
  }

  give(): void {
    this.#files.release(this.#file, this.#number);
  }
}
