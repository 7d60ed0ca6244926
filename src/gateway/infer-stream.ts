/** One message of a ModelStreamInfer: the same path as a unary call, in Triton's envelope. */

import type { InferParameters } from '../wire/infer-parameter.ts';
import { encodeStreamResponse } from '../wire/infer-response.ts';
import { boundedText, type Call } from './accept/call.ts';
import { InferError } from './errors.ts';
import { type Gateway, infer } from './infer.ts';
import { InferenceRecord } from './inference-record.ts';

/** Every answer is the last of its request: no model here gives more than one. */
const FINAL: InferParameters = new Map([['triton_final_response', { kind: 'bool', value: true }]]);

/** The encoded ModelStreamInferResponse. A request that fails is answered in band, with its id, and the stream goes on. */
export async function inferInStream(wire: Uint8Array, call: Call, gateway: Gateway): Promise<readonly Uint8Array[]> {
  const record = new InferenceRecord(wire, call);
  try {
    const { chunks } = await infer(record, gateway, FINAL);
    return encodeStreamResponse({ response: chunks });
  } catch (thrown) {
    const { message } = InferError.from(thrown);
    return encodeStreamResponse({ errorMessage: boundedText(message), id: record.request?.id ?? '' });
  }
}
