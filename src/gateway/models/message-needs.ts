/** Size of the messages of a model, and whether any message could hold them: a model that is READY can be called. */

import { NO_PARAMETERS } from '../../wire/infer-parameter.ts';
import { encodeInferRequest } from '../../wire/infer-request.ts';
import { MAX_MESSAGE_NEEDS, type MessageNeeds } from '../../wire/limits.ts';
import { DATATYPE_BYTES, elementCount, type Shape, type TensorSpec } from '../../wire/tensor.ts';
import type { ModelSignature } from '../repository/signature/model-signature.ts';
import { withSize } from '../repository/signature/row-axis.ts';

/** As clients see a model. */
type Tensors = Pick<ModelSignature, 'inputs'> & { readonly outputs: readonly TensorSpec[] };

export function messageNeeds({ inputs, outputs }: Tensors): MessageNeeds {
  let rank = 0;
  let nameBytes = 0;
  for (const { name, shape } of [...inputs, ...outputs]) {
    rank = Math.max(rank, shape.length);
    nameBytes = Math.max(nameBytes, Buffer.byteLength(name));
  }
  return { inputs: inputs.length, outputs: outputs.length, rank, nameBytes };
}

/** Names of the counts of `MessageNeeds`, for operators. */
const COUNTED: Readonly<Record<keyof MessageNeeds, string>> = {
  inputs: 'inputs',
  outputs: 'outputs',
  rank: 'axes in one tensor',
  nameBytes: 'bytes in the name of a tensor',
};

export interface SizeLimits {
  /** `undefined`: messages of any length are taken. */
  readonly maxMessageBytes?: number | undefined;
  readonly maxOutputBytes: number;
}

/**
 * Refuses a model that no message could call, or that could never be answered.
 * @throws Error with the reason, and the setting that lifts it where there is one
 */
export function checkCallable(model: string, tensors: Tensors, limits: SizeLimits): void {
  const needs = messageNeeds(tensors);
  for (const key of Object.keys(COUNTED) as (keyof MessageNeeds)[]) {
    if (needs[key] <= MAX_MESSAGE_NEEDS[key]) continue;
    throw new Error(
      `it cannot be called: it has ${needs[key]} ${COUNTED[key]}, at most ${MAX_MESSAGE_NEEDS[key]} are served`,
    );
  }
  const { maxMessageBytes = Number.POSITIVE_INFINITY, maxOutputBytes } = limits;
  const request = smallestRequestBytes(model, tensors);
  if (request > maxMessageBytes) {
    throw new Error(
      `it cannot be called: its smallest request has ${request} bytes, maxMessageBytes allows ${maxMessageBytes}: set maxMessageBytes to ${request} or more`,
    );
  }
  const outputs = rawBytes(tensors.outputs);
  if (outputs > maxOutputBytes) {
    throw new Error(
      `it cannot be called: its outputs have at least ${outputs} bytes a row, maxOutputBytes allows ${maxOutputBytes}: set maxOutputBytes to ${outputs} or more`,
    );
  }
}

/** Bytes of a ModelInferRequest of one row, with 1 for every size that the model leaves open. */
function smallestRequestBytes(modelName: string, { inputs }: Tensors): number {
  const head = encodeInferRequest({
    modelName,
    modelVersion: '',
    id: '',
    parameters: NO_PARAMETERS,
    inputs: inputs.map(({ name, datatype, shape }) => {
      return { name, datatype, shape: withSize(shape, 1), parameters: NO_PARAMETERS, contents: undefined };
    }),
    outputs: [],
    rawInputContents: inputs.map(() => NOTHING),
  });
  return byteLength(head) + rawBytes(inputs);
}

const NOTHING = new Uint8Array(0);
/** An element of BYTES is at least its length. */
const LEAST_BYTES_ELEMENT = 4;

function rawBytes(tensors: readonly TensorSpec[]): number {
  const sizeOf = ({ datatype, shape }: { datatype: TensorSpec['datatype']; shape: Shape }): number =>
    (elementCount(withSize(shape, 1)) ?? Number.MAX_SAFE_INTEGER) * (DATATYPE_BYTES[datatype] ?? LEAST_BYTES_ELEMENT);
  return tensors.reduce((sum, tensor) => sum + sizeOf(tensor), 0);
}

function byteLength(chunks: readonly Uint8Array[]): number {
  return chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
}
