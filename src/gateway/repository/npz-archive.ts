/**
 * Reads and writes arrays as numpy's `savez` writes them: a zip of `.npy` files (numpy: lib/format.py; PKWARE APPNOTE 4.3). Only
 * this subset is read: no encryption, no zip64, little-endian arrays in C order. numpy reads the files written here.
 */

import { promisify } from 'node:util';
import { crc32, deflateRaw, inflateRaw } from 'node:zlib';
import { messageOf } from '../../error-message.ts';
import { DATATYPE_BYTES, type Datatype, elementCount, type Shape } from '../../wire/tensor.ts';

export interface NpyArray {
  readonly datatype: Datatype;
  readonly shape: Shape;
  /** Row-major, little-endian. */
  readonly data: Uint8Array;
}

/** The archive cannot be read; the text says why. */
export class NpzError extends Error {}

/** Limit of one unpacked array: a small archive may claim a huge one. */
const MAX_ARRAY_BYTES = 256 * 1024 * 1024;

const END_OF_DIRECTORY = 0x0605_4b50;
const END_OF_DIRECTORY_BYTES = 22;
const DIRECTORY_ENTRY = 0x0201_4b50;
const LOCAL_ENTRY = 0x0403_4b50;
const STORED = 0;
const DEFLATED = 8;

/**
 * The arrays by name, without `.npy`.
 * @throws NpzError
 */
export async function readNpz(bytes: Buffer): Promise<Map<string, NpyArray>> {
  try {
    const arrays = new Map<string, NpyArray>();
    for (const { name, method, packed } of entriesOf(bytes)) {
      arrays.set(name.replace(/\.npy$/, ''), readNpy(name, await unpack(name, method, packed)));
    }
    return arrays;
  } catch (error) {
    if (error instanceof NpzError) throw error;
    // A read beyond the end, or compressed bytes that are none.
    throw new NpzError(`it is no whole archive: ${messageOf(error)}`);
  }
}

interface Entry {
  readonly name: string;
  readonly method: number;
  readonly packed: Buffer;
}

function entriesOf(bytes: Buffer): Entry[] {
  const end = bytes.lastIndexOf(Buffer.from([0x50, 0x4b, 0x05, 0x06]));
  if (end < 0 || bytes.readUInt32LE(end) !== END_OF_DIRECTORY || end + END_OF_DIRECTORY_BYTES > bytes.byteLength) {
    throw new NpzError('it is no zip archive, or not a whole one');
  }
  const entries: Entry[] = [];
  let at = bytes.readUInt32LE(end + 16);
  for (let count = bytes.readUInt16LE(end + 10); count > 0; count--) {
    if (bytes.readUInt32LE(at) !== DIRECTORY_ENTRY) throw new NpzError('its directory is broken');
    const nameEnd = at + 46 + bytes.readUInt16LE(at + 28);
    const name = bytes.toString('utf8', at + 46, nameEnd);
    const packedSize = bytes.readUInt32LE(at + 20);
    const local = bytes.readUInt32LE(at + 42);
    if (bytes.readUInt32LE(local) !== LOCAL_ENTRY) throw new NpzError(`${name} is not where its directory says`);
    const from = local + 30 + bytes.readUInt16LE(local + 26) + bytes.readUInt16LE(local + 28);
    if (from + packedSize > bytes.byteLength) throw new NpzError(`${name} is cut off`);
    const packed = bytes.subarray(from, from + packedSize);
    entries.push({ name, method: bytes.readUInt16LE(at + 10), packed });
    at = nameEnd + bytes.readUInt16LE(at + 30) + bytes.readUInt16LE(at + 32);
  }
  return entries;
}

// The event loop answers requests meanwhile.
const inflate = promisify<Buffer, { readonly maxOutputLength: number }, Buffer>(inflateRaw);
const deflate = promisify<Buffer, Buffer>(deflateRaw);

async function unpack(name: string, method: number, packed: Buffer): Promise<Buffer> {
  if (method === STORED) return packed;
  if (method === DEFLATED) return inflate(packed, { maxOutputLength: MAX_ARRAY_BYTES });
  throw new NpzError(`${name} is packed by method ${method}, which is not read`);
}

/** By numpy's description, in which `<` and `|` are the byte order. */
const DATATYPES: ReadonlyMap<string, Datatype> = new Map([
  ['|b1', 'BOOL'],
  ['|u1', 'UINT8'],
  ['<u2', 'UINT16'],
  ['<u4', 'UINT32'],
  ['<u8', 'UINT64'],
  ['|i1', 'INT8'],
  ['<i2', 'INT16'],
  ['<i4', 'INT32'],
  ['<i8', 'INT64'],
  ['<f2', 'FP16'],
  ['<f4', 'FP32'],
  ['<f8', 'FP64'],
  // As numpy writes `ml_dtypes.bfloat16`, which it does not know by name.
  ['<V2', 'BF16'],
] as const);

const NPY_HEADER = /^\{'descr': '([^']*)', 'fortran_order': (True|False), +'shape': \(([\d, ]*)\),? *\}\s*$/;

function readNpy(name: string, bytes: Buffer): NpyArray {
  if (bytes.toString('latin1', 0, 6) !== '\x93NUMPY') throw new NpzError(`${name} is no array of numpy`);
  const isFirstForm = bytes.readUInt8(6) === 1;
  const headerAt = isFirstForm ? 10 : 12;
  const dataAt = headerAt + (isFirstForm ? bytes.readUInt16LE(8) : bytes.readUInt32LE(8));
  const header = NPY_HEADER.exec(bytes.toString('latin1', headerAt, dataAt));
  const [, description = '', fortran, sizes = ''] = header ?? [];
  const datatype = DATATYPES.get(description);
  if (header === null || datatype === undefined) {
    throw new NpzError(`${name} has the type '${description}': expected one of ${[...DATATYPES.keys()].join(' ')}`);
  }
  if (fortran === 'True') throw new NpzError(`${name} is in Fortran order: save numpy.ascontiguousarray of it`);
  const shape = sizes
    .split(',')
    .filter((size) => size.trim() !== '')
    .map(Number);
  const data = bytes.subarray(dataAt);
  const expected = (elementCount(shape) ?? Number.NaN) * (DATATYPE_BYTES[datatype] ?? Number.NaN);
  if (data.byteLength !== expected) {
    throw new NpzError(`${name} of the shape [${shape}] should have ${expected} bytes, got ${data.byteLength}`);
  }
  return { datatype, shape, data };
}

const DESCRIPTIONS: ReadonlyMap<Datatype, string> = new Map([...DATATYPES].map(([key, datatype]) => [datatype, key]));

/** Whether numpy has the datatype: it has no texts as the protocol does. */
export function isNumpyDatatype(datatype: Datatype): boolean {
  return DESCRIPTIONS.has(datatype);
}

/**
 * An archive that `readNpz` reads, and `numpy.load`. The same arrays always give the same bytes.
 * @throws TypeError for a datatype that numpy has not
 */
export async function writeNpz(arrays: ReadonlyMap<string, NpyArray>): Promise<Buffer> {
  const files: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [name, array] of arrays) {
    const content = npyOf(array);
    const packed = await deflate(content);
    const file = Buffer.from(`${name}.npy`);
    // Version, flags, method, time and date (1 January 1980), checksum, sizes, length of the name, no extra field.
    const shared = Buffer.alloc(26);
    shared.writeUInt16LE(20, 0);
    shared.writeUInt16LE(DEFLATED, 4);
    shared.writeUInt16LE(0x21, 8);
    shared.writeUInt32LE(crc32(content), 10);
    shared.writeUInt32LE(packed.byteLength, 14);
    shared.writeUInt32LE(content.byteLength, 18);
    shared.writeUInt16LE(file.byteLength, 22);
    const local = Buffer.concat([signature(LOCAL_ENTRY), shared, file, packed]);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(offset, 10);
    directory.push(Buffer.concat([signature(DIRECTORY_ENTRY), Buffer.from([20, 0]), shared, tail, file]));
    files.push(local);
    offset += local.byteLength;
  }
  const listed = Buffer.concat(directory);
  const end = Buffer.alloc(END_OF_DIRECTORY_BYTES);
  end.writeUInt32LE(END_OF_DIRECTORY, 0);
  end.writeUInt16LE(files.length, 8);
  end.writeUInt16LE(files.length, 10);
  end.writeUInt32LE(listed.byteLength, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...files, listed, end]);
}

function npyOf({ datatype, shape, data }: NpyArray): Buffer {
  const description = DESCRIPTIONS.get(datatype);
  if (description === undefined) throw new TypeError(`numpy has no ${datatype}`);
  const sizes = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const header = `{'descr': '${description}', 'fortran_order': False, 'shape': (${sizes}), }`;
  // The array starts at a multiple of 64; magic, version and the length of the header are ten bytes, and a line break ends it.
  const padded = `${header.padEnd(Math.ceil((header.length + 11) / 64) * 64 - 11)}\n`;
  const start = Buffer.concat([Buffer.from('\x93NUMPY', 'latin1'), Buffer.from([1, 0, 0, 0])]);
  start.writeUInt16LE(padded.length, 8);
  return Buffer.concat([start, Buffer.from(padded, 'latin1'), data]);
}

function signature(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
