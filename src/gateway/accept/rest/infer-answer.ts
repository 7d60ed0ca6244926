/** A ModelInferResponse as REST has it: JSON, and behind it the tensors that were asked for in binary. */

import { formatExactJson } from '../../../wire/exact-json.ts';
import type { InferParameters } from '../../../wire/infer-parameter.ts';
import type { InferOutput, InferResponse } from '../../../wire/infer-response.ts';
import { JsonTensorWriter, MIN_STEP_BYTES } from '../../../wire/json-tensor-writer.ts';
import { elementCount } from '../../../wire/tensor.ts';
import type { BinaryOutputs } from './infer-json.ts';

/** The JSON is made in chunks of at most so many bytes. */
const CHUNK_BYTES = 64 * 1024;
/** Typical bytes of an element in JSON. */
const ELEMENT_BYTES = 12;

export class InferAnswer {
  readonly #response: InferResponse;
  readonly #binary: BinaryOutputs;
  /** Those that follow the JSON, as they are. */
  readonly tensors: readonly Uint8Array[];

  constructor(response: InferResponse, binary: BinaryOutputs) {
    this.#response = response;
    this.#binary = binary;
    this.tensors = response.outputs.filter(({ name }) => this.#isBinary(name)).map(({ data }) => data);
  }

  /** Whether the JSON has no elements, so that it is short. */
  get isBinary(): boolean {
    return this.tensors.length === this.#response.outputs.length;
  }

  /** All of the JSON, of an answer that is binary. */
  text(): string {
    let text = this.#head();
    for (const [index, output] of this.#response.outputs.entries()) {
      text += index === 0 ? binaryOutput(output) : `,${binaryOutput(output)}`;
    }
    return `${text}]}`;
  }

  /** Bytes of all outputs, which are held as long as chunks are made of them. */
  get heldBytes(): number {
    return this.#response.outputs.reduce((sum, { data }) => sum + data.byteLength, 0);
  }

  /** The JSON, whose chunks are made one by one: what holds the answer meanwhile is its raw outputs. */
  *json(): Generator<Uint8Array, void> {
    let chunk = Buffer.allocUnsafe(this.#firstChunkBytes());
    let at = 0;
    for (const part of this.#parts()) {
      if (typeof part === 'string') {
        const text = Buffer.from(part);
        if (text.length > chunk.length - at) {
          yield chunk.subarray(0, at);
          chunk = Buffer.allocUnsafe(Math.max(CHUNK_BYTES, text.length));
          at = 0;
        }
        at += text.copy(chunk, at);
        continue;
      }
      for (;;) {
        at = part.write(chunk, at);
        if (part.isDone) break;
        yield chunk.subarray(0, at);
        chunk = Buffer.allocUnsafe(CHUNK_BYTES);
        at = 0;
      }
    }
    yield chunk.subarray(0, at);
  }

  #isBinary(name: string): boolean {
    return this.#binary.byName.get(name) ?? this.#binary.all;
  }

  #firstChunkBytes(): number {
    const elements = this.#response.outputs.reduce(
      (sum, { name, shape }) => sum + (this.#isBinary(name) ? 0 : (elementCount(shape) ?? 0)),
      0,
    );
    return Math.min(CHUNK_BYTES, 1_024 + elements * ELEMENT_BYTES + MIN_STEP_BYTES);
  }

  /** The texts and the tensors of the JSON, in their order. */
  *#parts(): Generator<string | JsonTensorWriter, void> {
    yield this.#head();
    for (const [index, output] of this.#response.outputs.entries()) {
      if (index > 0) yield ',';
      yield* this.#output(output);
    }
    yield ']}';
  }

  #head(): string {
    const { id, modelName, modelVersion, parameters } = this.#response;
    const named = { ...(id !== '' && { id }), model_name: modelName, model_version: modelVersion };
    // The exact form calls back for each value.
    const head =
      parameters.size === 0 ? JSON.stringify(named) : formatExactJson({ ...named, parameters: plain(parameters) });
    return `${head.slice(0, -1)},"outputs":[`;
  }

  *#output(output: InferOutput): Generator<string | JsonTensorWriter, void> {
    const { name, datatype, shape, data } = output;
    if (this.#isBinary(name)) {
      yield binaryOutput(output);
      return;
    }
    yield `${JSON.stringify({ name, datatype, shape }).slice(0, -1)},"data":[`;
    yield new JsonTensorWriter(datatype, data, elementCount(shape) ?? 0);
    yield ']}';
  }
}

function binaryOutput({ name, datatype, shape, data }: InferOutput): string {
  return JSON.stringify({ name, datatype, shape, parameters: { binary_data_size: data.byteLength } });
}

function plain(parameters: InferParameters): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    [...parameters].map(([key, parameter]) => [key, parameter.kind === 'none' ? null : parameter.value]),
  );
}
