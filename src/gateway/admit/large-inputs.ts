/** Requests whose contents take long to look through: bounded by what they say of themselves before any of it is read. */

import type { InferRequest } from '../../wire/infer-request.ts';
import { DATATYPE_BYTES, elementCount, isDatatype } from '../../wire/tensor.ts';
import type { TensorBytes } from '../../wire/tensor-bytes.ts';
import { InferError } from '../errors.ts';
import type { ModelSignature } from '../repository/signature/model-signature.ts';
import { InputReading } from './input-reading.ts';

/** Contents of fewer bytes are looked through in a millisecond or two, at once. */
export const LARGE_BYTES = 256 * 1024;

/** Bytes of a message for each element of its BYTES inputs: what a runner makes of one takes about as much. */
const MESSAGE_BYTES_OF_A_STRING = 64;

/** Whether so much of the request's contents has to be looked through, element by element, that it would hold up others. */
export function isLarge({ inputs, rawInputContents }: InferRequest<TensorBytes>): boolean {
  let bytes = 0;
  for (let index = 0; index < inputs.length; index++) {
    const input = inputs[index];
    if (input?.contents !== undefined) bytes += input.contents.byteLength;
    else if (input?.datatype === 'BYTES' || input?.datatype === 'BOOL') {
      bytes += rawInputContents[index]?.byteLength ?? 0;
    }
  }
  return bytes > LARGE_BYTES;
}

/**
 * Refuses a request whose tensors would be larger than any message: typed contents may be an eighth of the tensor that they
 * stand for, and each text becomes a string.
 * @throws InferError `limit_exceeded`
 */
export function checkSize({ inputs, modelName }: InferRequest<TensorBytes>, maxMessageBytes: number): void {
  let bytes = 0;
  let strings = 0;
  for (const { datatype, shape, contents } of inputs) {
    const elements = elementCount(shape) ?? Number.POSITIVE_INFINITY;
    const size = isDatatype(datatype) ? DATATYPE_BYTES[datatype] : undefined;
    if (size === undefined) strings += elements;
    else if (contents !== undefined) bytes += elements * size;
  }
  if (bytes > maxMessageBytes) {
    const text = `the typed contents of the request for model '${modelName}' stand for ${bytes} bytes, more than a message may have (maxMessageBytes ${maxMessageBytes})`;
    throw new InferError('limit_exceeded', text);
  }
  const maxStrings = Math.floor(maxMessageBytes / MESSAGE_BYTES_OF_A_STRING);
  if (strings > maxStrings) {
    const text = `the BYTES inputs of the request for model '${modelName}' have ${strings} elements, more than ${maxStrings}: one for each ${MESSAGE_BYTES_OF_A_STRING} bytes that a message may have (maxMessageBytes ${maxMessageBytes})`;
    throw new InferError('limit_exceeded', text);
  }
}

/** The contents of the inputs of a request, in its order. Binary elements are not looked at: they are read with the model that answers. */
export class InputsReading {
  readonly #request: InferRequest<TensorBytes>;
  readonly #binary: ReadonlySet<string>;
  readonly #values: (TensorBytes | undefined)[] = [];
  #reading: InputReading | undefined;

  /**
   * @param request whose description its model takes (`describe`).
   * @param inputs of the model
   */
  constructor(request: InferRequest<TensorBytes>, { inputs }: Pick<ModelSignature, 'inputs'>) {
    this.#request = request;
    this.#binary = new Set(inputs.filter(({ elements }) => elements?.isBinary).map(({ name }) => name));
  }

  /** Valid after the last slice. */
  get values(): readonly (TensorBytes | undefined)[] {
    return this.#values;
  }

  /** Reads on, about so many elements. @returns whether all were read. @throws InferError */
  advance(elements: number): boolean {
    const { inputs, rawInputContents, modelName } = this.#request;
    const index = this.#values.length;
    const input = inputs[index];
    if (input === undefined) return true;
    if (this.#binary.has(input.name)) this.#values.push(undefined);
    else {
      this.#reading ??= new InputReading(input, rawInputContents[index], { model: modelName, isBinary: false });
      if (!this.#reading.advance(elements)) return false;
      this.#values.push(this.#reading.value);
      this.#reading = undefined;
    }
    return this.#values.length === inputs.length;
  }
}
