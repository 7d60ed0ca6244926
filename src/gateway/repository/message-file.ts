/** A file with one protobuf message, read sparsely: its fields are skipped by their lengths. */

import fs, { type FileHandle } from 'node:fs/promises';
import { absent, DISK } from './disk.ts';

const WINDOW_BYTES = 64 * 1024;
/** A tag and a length, of at most ten bytes each. */
const HEAD_BYTES = 20;

export class MessageFile {
  readonly size: number;
  readonly #file: string;
  readonly #handle: FileHandle;
  #window: Buffer = Buffer.alloc(0);
  #from = 0;

  private constructor(file: string, handle: FileHandle, size: number) {
    this.#file = file;
    this.#handle = handle;
    this.size = size;
  }

  /** `undefined` where the file cannot be opened. */
  static async open(file: string, size: number): Promise<MessageFile | undefined> {
    const handle = await DISK.run(`opening ${file}`, () => fs.open(file)).catch(absent);
    return handle && new MessageFile(file, handle, size);
  }

  /** `length` bytes, or those that there are. */
  async bytes(from: number, length: number): Promise<Buffer> {
    const end = Math.min(from + length, this.size);
    if (from < this.#from || end > this.#from + this.#window.byteLength) {
      const buffer = Buffer.allocUnsafe(Math.min(Math.max(WINDOW_BYTES, length), this.size - from));
      const { bytesRead } = await DISK.run(`reading ${this.#file}`, () =>
        this.#handle.read(buffer, 0, buffer.byteLength, from),
      );
      this.#window = buffer.subarray(0, bytesRead);
      this.#from = from;
    }
    return this.#window.subarray(from - this.#from, end - this.#from);
  }

  close(): void {
    void this.#handle.close().catch(() => {});
  }
}

export interface MessageField {
  readonly number: number;
  /** Where the contents of a field with a length begin; otherwise where the field ends. */
  readonly start: number;
  /** Where the next field begins. */
  readonly end: number;
}

/** @returns `cut-off` where the message ends inside the head of the field; `foreign` where the bytes are no field. */
export async function fieldAt(
  file: MessageFile,
  at: number,
  limit: number,
): Promise<MessageField | 'cut-off' | 'foreign'> {
  const head = await file.bytes(at, Math.min(HEAD_BYTES, limit - at));
  const tag = varintAt(head, 0);
  if (tag === undefined) return head.byteLength < 10 ? 'cut-off' : 'foreign';
  const number = Math.floor(tag.value / 8);
  if (number === 0) return 'foreign';
  const ending = (length: number): MessageField => ({
    number,
    start: at + tag.end + length,
    end: at + tag.end + length,
  });
  switch (tag.value % 8) {
    case 0: {
      const value = varintAt(head, tag.end);
      return value === undefined ? 'cut-off' : { number, start: at + value.end, end: at + value.end };
    }
    case 1:
      return ending(8);
    case 2: {
      const length = varintAt(head, tag.end);
      if (length === undefined) return 'cut-off';
      return { number, start: at + length.end, end: at + length.end + length.value };
    }
    case 5:
      return ending(4);
    default:
      return 'foreign';
  }
}

function varintAt(bytes: Buffer, start: number): { readonly value: number; readonly end: number } | undefined {
  let value = 0;
  for (let at = start; at < bytes.byteLength && at < start + 10; at++) {
    const byte = bytes[at] ?? 0;
    value += (byte & 0x7f) * 2 ** (7 * (at - start));
    if (byte < 0x80) return { value, end: at + 1 };
  }
  return undefined;
}
