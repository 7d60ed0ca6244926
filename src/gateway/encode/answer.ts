/** A request's outputs -> the chunks of its ModelInferResponse. */

import type { InferParameters } from '../../wire/infer-parameter.ts';
import type { InferRequest } from '../../wire/infer-request.ts';
import { type ContentsForm, encodeInferResponse, type InferResponse } from '../../wire/infer-response.ts';
import type { BatchAxis } from '../admit/infer-tensors.ts';
import type { WantedOutput } from '../admit/requested-outputs.ts';
import type { OutputTensor } from '../batch/queued-request.ts';
import type { ModelRef } from '../ops/diagnostics.ts';
import { classify } from './classification.ts';

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

export function encode(
  request: InferRequest,
  wanted: readonly WantedOutput[],
  outputs: readonly OutputTensor[],
  form: AnswerForm,
): EncodedAnswer {
  let next = 0;
  const answered = wanted.flatMap(({ spec, classes }) => {
    // Both are in the model's order, unless an ensemble says otherwise.
    while (next < outputs.length && outputs[next]?.name !== spec.name) next++;
    const output = outputs[next] ?? outputs.find(({ name }) => name === spec.name);
    if (next === outputs.length) next = 0;
    if (output === undefined) return [];
    return classes === 0 ? [output] : [classify(output, classes, spec.labels, form.axis)];
  });
  const response = {
    modelName: form.model.name,
    modelVersion: form.model.version,
    id: request.id,
    parameters: form.parameters,
    outputs: answered,
  };
  return { response, chunks: encodeInferResponse(response, formOf(request, form.typedAnswers)) };
}

/** The form of the request: raw when it was raw, or when it had no contents at all. */
function formOf({ inputs, rawInputContents }: InferRequest, typedAnswers: TypedAnswers): ContentsForm {
  if (typedAnswers === 'never' || rawInputContents.length > 0) return 'raw';
  return inputs.some(({ contents }) => contents !== undefined) ? 'typed' : 'raw';
}
