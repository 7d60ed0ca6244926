/** The one encoded request that a benchmark sends again and again. */

import { encodeInferRequest } from '../src/wire/infer-request.ts';
import type { Datatype } from '../src/wire/tensor.ts';

/** A request of one row, raw. `data` fills the tensor. */
export function encodedRequest(
  model: string,
  input: string,
  datatype: Datatype,
  tensor: { shape: readonly number[]; data: Uint8Array },
): Uint8Array {
  const parameters = new Map();
  return Buffer.concat(
    encodeInferRequest({
      modelName: model,
      modelVersion: '',
      id: '',
      parameters,
      inputs: [{ name: input, datatype, shape: tensor.shape, parameters, contents: undefined }],
      outputs: [],
      rawInputContents: [tensor.data],
    }),
  );
}

/** Varied values in [0, 1), as FP32. */
export function floats(count: number): Uint8Array {
  return new Uint8Array(Float32Array.from({ length: count }, (_, index) => (index * 0.618_034) % 1).buffer);
}
