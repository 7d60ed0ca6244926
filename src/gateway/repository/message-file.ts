/** A file with one protobuf message, read sparsely: its fields are skipped by their lengths. */

import fs, { type FileHandle } from 'node:fs/promises';
import { FIELD_HEAD_BYTES, fieldOf, type MessageField } from '../../onnx/protobuf-field.ts';
import { absent, DISK } from './disk.ts';

const WINDOW_BYTES = 64 * 1024;

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

/** As `fieldOf`, of a message in a file. */
export async function fieldAt(
  file: MessageFile,
  at: number,
  limit: number,
): Promise<MessageField | 'cut-off' | 'foreign'> {
  return fieldOf(await file.bytes(at, Math.min(FIELD_HEAD_BYTES, limit - at)), at);
}
