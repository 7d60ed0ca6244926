/** One message of a ModelStreamInfer: the same path as a unary call, in Triton's envelope. */

import type { InferParameter, InferParameters } from '../wire/infer-parameter.ts';
import { encodeStreamResponse } from '../wire/infer-response.ts';
import { STREAM_STATUS } from '../wire/stream-status.ts';
import type { TensorBytes } from '../wire/tensor-bytes.ts';
import type { Call } from './accept/call.ts';
import { pushbackValue } from './accept/failure.ts';
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
export async function inferInStream(
  wire: Uint8Array,
  call: Call,
  gateway: Gateway,
  tensors?: readonly TensorBytes[],
): Promise<StreamReply> {
  const record = new InferenceRecord(wire, call, tensors);
  const early = refuseEarly(record, gateway);
  if (early !== undefined) {
    record.end();
    return refusalOf(early, record);
  }
  try {
    const { chunks } = await infer(record, gateway, FINAL);
    const permit = gateway.admission.tryHold(bytesOf(chunks));
    return { chunks: encodeStreamResponse({ response: chunks }), release: () => permit[Symbol.dispose]() };
  } catch (thrown) {
    return refusalOf(InferError.from(thrown), record);
  }
}

function refusalOf(refusal: InferError, { requestId: id }: InferenceRecord): StreamReply {
  const errorMessage = boundedText(refusal.message);
  return { chunks: encodeStreamResponse({ errorMessage, id, parameters: statusOf(refusal) }), release: () => {} };
}

/** The status that a unary call would end with: the protocol gives a stream only the text of it. */
function statusOf({ status, reason, pushback }: InferError): InferParameters {
  const parameters = new Map<string, InferParameter>([
    [STREAM_STATUS.code, { kind: 'int64', value: BigInt(status) }],
    [STREAM_STATUS.reason, { kind: 'string', value: reason }],
  ]);
  if (pushback !== undefined) {
    parameters.set(STREAM_STATUS.pushbackMs, { kind: 'int64', value: BigInt(pushbackValue(pushback)) });
  }
  return parameters;
}
