import { invalid, unexpected } from './json-field.ts';

/** The bytes behind the JSON of a body: the raw contents of tensors, one behind the other (Triton: extension_binary_data.md). */
export class BinarySection {
  readonly #bytes: Uint8Array;
  readonly #model: string;
  #at = 0;

  constructor(bytes: Uint8Array, model: string) {
    this.#bytes = bytes;
    this.#model = model;
  }

  /** The next tensor, as a view. @throws InferError `invalid_request` where there are not so many bytes. */
  take(size: unknown, input: string): Uint8Array {
    if (typeof size !== 'number' || !Number.isInteger(size) || size < 0) {
      throw unexpected(`'binary_data_size' of input '${input}'`, 'a number of bytes', size);
    }
    const left = this.#bytes.byteLength - this.#at;
    if (size > left) {
      throw invalid(
        `unexpected size for input '${input}', expecting ${size - left} additional bytes for model '${this.#model}'`,
      );
    }
    this.#at += size;
    return this.#bytes.subarray(this.#at - size, this.#at);
  }

  /** @throws InferError `invalid_request` where bytes are left that no input names. */
  end(): void {
    const left = this.#bytes.byteLength - this.#at;
    if (left > 0) {
      throw invalid(`unexpected additional input data for model '${this.#model}': ${left} bytes belong to no input`);
    }
  }
}
