/** One message of a ModelStreamInfer: the same path as a unary call, in Triton's envelope. */

import type { InferParameters } from '../wire/infer-parameter.ts';
import { encodeStreamResponse } from '../wire/infer-response.ts';
import type { Call } from './accept/call.ts';
import type { StreamReply } from './accept/stream-infer.ts';
import { refuseEarly } from './admit/early-refusal.ts';
import { boundedText, InferError } from './errors.ts';
import { type Gateway, infer } from './infer.ts';
import { bytesOf, InferenceRecord } from './inference-record.ts';

/** Every answer is the last of its request: no model here gives more than one. */
const FINAL: InferParameters = new Map([['triton_final_response', { kind: 'bool', value: true }]]);

/**
 * A request that fails is answered in band, with its id, and the stream goes on. An answer takes of the server's budget
 * until it is written: many streams whose clients do not read are bounded together, and what does not fit is shed.
 */
export async function inferInStream(wire: Uint8Array, call: Call, gateway: Gateway): Promise<StreamReply> {
  const record = new InferenceRecord(wire, call);
  const early = refuseEarly(record, gateway);
  if (early !== undefined) return refusalOf(early, record);
  try {
    const { chunks } = await infer(record, gateway, FINAL);
    const permit = gateway.admission.tryHold(bytesOf(chunks));
    return { chunks: encodeStreamResponse({ response: chunks }), release: () => permit[Symbol.dispose]() };
  } catch (thrown) {
    return refusalOf(InferError.from(thrown), record);
  }
}

function refusalOf({ message }: InferError, { requestId: id }: InferenceRecord): StreamReply {
  return { chunks: encodeStreamResponse({ errorMessage: boundedText(message), id }), release: () => {} };
}
