/** Tensors beside a message as they cross to the owner: their bytes, or where those lie in a file of the acceptor. */

import type { HandedTensor } from '../../landing/borrowed-tensors.ts';
import type { ParcelReader, ParcelWriter, ReceivedMessage } from './parcel.ts';

const NONE: readonly never[] = [];
const IN_MEMORY = 0;
const IN_FILE = 1;

export function writeTensorCount(to: ParcelWriter, count: number): void {
  to.uint32(count);
}

export function writeBytes(to: ParcelWriter, bytes: Uint8Array): void {
  to.byte(IN_MEMORY);
  to.message([bytes], bytes.byteLength, true);
}

export function writeHanded(to: ParcelWriter, { number, place, byteLength }: HandedTensor): void {
  to.byte(IN_FILE);
  to.uint32(number);
  to.uint32(place.file.pid);
  to.uint32(place.file.descriptor);
  to.double(place.file.inode);
  to.double(place.offset);
  to.double(byteLength);
}

/** @returns the tensors in order */
export function readTensors(from: ParcelReader): readonly (HandedTensor | ReceivedMessage)[] {
  const count = from.uint32();
  if (count === 0) return NONE;
  return Array.from({ length: count }, () => (from.byte() === IN_MEMORY ? from.message() : readHanded(from)));
}

function readHanded(from: ParcelReader): HandedTensor {
  const number = from.uint32();
  const file = { pid: from.uint32(), descriptor: from.uint32(), inode: from.double() };
  return { number, place: { file, offset: from.double() }, byteLength: from.double() };
}
