/** A ModelInferResponse as REST has it: JSON, and behind it the tensors that were asked for in binary. */

import { formatExactJson } from '../../../wire/exact-json.ts';
import type { InferParameters } from '../../../wire/infer-parameter.ts';
import type { InferResponse } from '../../../wire/infer-response.ts';
import { rawToJson } from '../../../wire/json-tensor.ts';
import { elementCount } from '../../../wire/tensor.ts';
import type { BinaryOutputs } from './infer-json.ts';

export interface InferAnswer {
  readonly chunks: readonly Uint8Array[];
  /** Bytes of the JSON, where binary tensors follow it. */
  readonly headerLength: number | undefined;
}

export function formatInferResponse(response: InferResponse, binary: BinaryOutputs): InferAnswer {
  const tensors: Uint8Array[] = [];
  const outputs = response.outputs.map(({ name, datatype, shape, data }) => {
    if (!(binary.byName.get(name) ?? binary.all)) {
      return { name, datatype, shape, data: rawToJson(datatype, data, elementCount(shape) ?? 0) };
    }
    tensors.push(data);
    return { name, datatype, shape, parameters: { binary_data_size: data.byteLength } };
  });
  const json = Buffer.from(
    formatExactJson({
      ...(response.id !== '' && { id: response.id }),
      model_name: response.modelName,
      model_version: response.modelVersion,
      ...(response.parameters.size > 0 && { parameters: plain(response.parameters) }),
      outputs,
    }),
  );
  return { chunks: [json, ...tensors], headerLength: tensors.length === 0 ? undefined : json.byteLength };
}

function plain(parameters: InferParameters): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    [...parameters].map(([key, parameter]) => [key, parameter.kind === 'none' ? null : parameter.value]),
  );
}
