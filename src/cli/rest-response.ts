import type { AnyTensor, InferenceResult } from '../client/inference-client.ts';
import { encodeTensor } from '../client/tensor.ts';
import { type JsonElement, rawToJson } from '../wire/json-tensor.ts';

/** An answer in the REST form of the Open Inference Protocol, with the names that its JSON has. */
export interface RestResponse {
  readonly model_name: string;
  readonly model_version: string;
  readonly id?: string;
  readonly parameters?: Readonly<Record<string, unknown>>;
  readonly outputs: readonly {
    readonly name: string;
    readonly datatype: string;
    readonly shape: readonly number[];
    readonly data: readonly unknown[];
  }[];
}

export function toRestResponse({ modelName, modelVersion, id, parameters, outputs }: InferenceResult): RestResponse {
  return {
    model_name: modelName,
    model_version: modelVersion,
    ...(id !== '' && { id }),
    ...(parameters.size > 0 && { parameters: Object.fromEntries(parameters) }),
    outputs: [...outputs].map(([name, output]) => ({
      name,
      datatype: output.datatype,
      shape: output.shape,
      data: toPlainValues(output),
    })),
  };
}

/** The elements as JSON has them, flat; BYTES are read as UTF-8, and where they are not have replacement characters. */
export function toPlainValues(output: AnyTensor): JsonElement[] {
  return rawToJson(output.datatype, encodeTensor(output), output.data.length);
}
