/** A request's outputs -> the chunks of its ModelInferResponse. */

import type { InferParameters } from '../../wire/infer-parameter.ts';
import type { InferRequest } from '../../wire/infer-request.ts';
import {
  type ContentsForm,
  encodeInferResponse,
  type InferResponse,
  isTypedAnswer,
  writeContents,
} from '../../wire/infer-response.ts';
import type { TensorBytes } from '../../wire/tensor-bytes.ts';
import type { TypedContentsWriting } from '../../wire/typed-contents-writing.ts';
import type { BatchAxis } from '../admit/infer-tensors.ts';
import type { WantedOutput } from '../admit/requested-outputs.ts';
import type { OutputTensor } from '../batch/queued-request.ts';
import type { ModelRef } from '../ops/diagnostics.ts';
import { Classification } from './classification.ts';

/** Whether a typed request is answered typed, or every request raw, as Triton does. */
export type TypedAnswers = 'as-requested' | 'never';

export interface AnswerForm {
  readonly model: ModelRef;
  readonly axis: BatchAxis;
  readonly typedAnswers: TypedAnswers;
  readonly parameters: InferParameters;
}

export interface EncodedAnswer {
  readonly response: InferResponse;
  /** An encoded head, and views of the outputs: nothing is joined here. */
  readonly chunks: readonly Uint8Array[];
}

/** Answers of fewer bytes are written in a millisecond or two, at once. */
const LARGE_BYTES = 256 * 1024;

/** Whether so much of the answer has to be written element by element that it would hold up others. */
export function isLargeAnswer(
  request: InferRequest<TensorBytes>,
  wanted: readonly WantedOutput[],
  outputs: readonly OutputTensor[],
  typedAnswers: TypedAnswers,
): boolean {
  let bytes = 0;
  for (const { data } of outputs) bytes += data.byteLength;
  if (bytes <= LARGE_BYTES) return false;
  return formOf(request, typedAnswers) === 'typed' || wanted.some(({ classes }) => classes > 0);
}

export function encode(
  request: InferRequest<TensorBytes>,
  wanted: readonly WantedOutput[],
  outputs: readonly OutputTensor[],
  form: AnswerForm,
): EncodedAnswer {
  const writing = new AnswerWriting(request, wanted, outputs, form);
  let isWritten = false;
  while (!isWritten) isWritten = writing.advance();
  return writing.finish();
}

/** Encodes an answer: first the classifications, then, for a typed answer, the typed contents of all outputs. */
export class AnswerWriting {
  readonly #request: InferRequest<TensorBytes>;
  readonly #form: AnswerForm;
  /** An output, or what it is to become. */
  readonly #outputs: (OutputTensor | Classification)[] = [];
  /** Outputs that are no classification any more. */
  #classified = 0;
  readonly #contents: Uint8Array[][] = [];
  #writing: TypedContentsWriting | undefined;

  constructor(
    request: InferRequest<TensorBytes>,
    wanted: readonly WantedOutput[],
    outputs: readonly OutputTensor[],
    form: AnswerForm,
  ) {
    this.#request = request;
    this.#form = form;
    let next = 0;
    for (const { spec, classes } of wanted) {
      // Both are in the model's order, unless an ensemble says otherwise.
      while (next < outputs.length && outputs[next]?.name !== spec.name) next++;
      const output = outputs[next] ?? outputs.find(({ name }) => name === spec.name);
      if (next === outputs.length) next = 0;
      if (output === undefined) continue;
      this.#outputs.push(classes === 0 ? output : new Classification(output, classes, spec.labels, form.axis));
    }
  }

  /** Writes on, about so many elements. @returns whether all is written */
  advance(elements = Number.POSITIVE_INFINITY): boolean {
    for (; this.#classified < this.#outputs.length; this.#classified++) {
      const output = this.#outputs[this.#classified];
      if (!(output instanceof Classification)) continue;
      if (!output.advance(elements)) return false;
      this.#outputs[this.#classified] = output.finish();
    }
    const form = formOf(this.#request, this.#form.typedAnswers);
    const outputs = this.#outputs as OutputTensor[];
    if (form === 'raw' || !isTypedAnswer(outputs, form)) return true;
    const output = outputs[this.#contents.length];
    if (output === undefined) return true;
    this.#writing ??= writeContents(output);
    if (!this.#writing.advance(elements)) return false;
    this.#contents.push(this.#writing.finish());
    this.#writing = undefined;
    return this.#contents.length === outputs.length;
  }

  /** Valid after the last slice. */
  finish(): EncodedAnswer {
    const { model, parameters, typedAnswers } = this.#form;
    const response = {
      modelName: model.name,
      modelVersion: model.version,
      id: this.#request.id,
      parameters,
      outputs: this.#outputs as OutputTensor[],
    };
    return { response, chunks: encodeInferResponse(response, formOf(this.#request, typedAnswers), this.#contents) };
  }
}

/** The form of the request: raw when it was raw, or when it had no contents at all. */
function formOf({ inputs, rawInputContents }: InferRequest<TensorBytes>, typedAnswers: TypedAnswers): ContentsForm {
  if (typedAnswers === 'never' || rawInputContents.length > 0) return 'raw';
  return inputs.some(({ contents }) => contents !== undefined) ? 'typed' : 'raw';
}
