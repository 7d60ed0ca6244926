/**
 * A request with many elements, read before its model is chosen: nothing may be awaited between that choice and the queue, and
 * what takes long has to be.
 */

import type { InferRequest } from '../../wire/infer-request.ts';
import type { TensorBytes } from '../../wire/tensor-bytes.ts';
import type { Call } from '../accept/call.ts';
import { inSlices } from '../accept/sliced-work.ts';
import type { ModelSignature } from '../repository/signature/model-signature.ts';
import { type Admission, footprint, type Permit } from './admission.ts';
import { checkSize, InputsReading } from './large-inputs.ts';
import { describe } from './validate.ts';

/** A request whose message has come, and the room that it takes. */
interface Arrival {
  readonly call: Call;
  readonly bytes: number;
  permit: Permit | undefined;
}

interface Dependencies {
  readonly models: {
    find(name: string, version: string, call: Call): { readonly ready: { readonly signature: ModelSignature } };
  };
  readonly admission: Admission;
  readonly maxMessageBytes: number;
}

/**
 * The contents of the inputs, in raw form and checked. Their room is taken first; a request that its model could never take is
 * refused before any element is looked at.
 * @throws InferError
 */
export async function readLargeRequest(
  record: Arrival,
  request: InferRequest<TensorBytes>,
  { models, admission, maxMessageBytes }: Dependencies,
): Promise<readonly (TensorBytes | undefined)[]> {
  const { call } = record;
  // Not yet the version that will answer, but one of those that may.
  const { signature } = models.find(request.modelName, request.modelVersion, call).ready;
  describe(request, signature);
  checkSize(request, maxMessageBytes);
  record.permit = admission.tryAcquire(footprint(record.bytes, request));
  return readInputs(request, call, signature);
}

/** The contents of the inputs of a request whose description its model takes. @throws InferError */
export async function readInputs(
  request: InferRequest<TensorBytes>,
  call: Pick<Call, 'cancelled' | 'deadline'>,
  signature: ModelSignature,
): Promise<readonly (TensorBytes | undefined)[]> {
  const reading = new InputsReading(request, signature);
  await inSlices(reading, call);
  return reading.values;
}
