/** One message of a ModelStreamInfer: the same path as a unary call, in Triton's envelope. */

import type { InferParameter, InferParameters } from '../wire/infer-parameter.ts';
import { encodeInferResponse, encodeStreamResponse } from '../wire/infer-response.ts';
import { STREAM_STATUS } from '../wire/stream-status.ts';
import { pushbackValue } from './accept/failure.ts';
import type { StreamedMessage, StreamReply } from './accept/stream-infer.ts';
import { refuseEarly } from './admit/early-refusal.ts';
import { boundedText, InferError } from './errors.ts';
import { type Gateway, infer } from './infer.ts';
import { bytesOf, InferenceRecord } from './inference-record.ts';

const FINAL: InferParameters = new Map([['triton_final_response', { kind: 'bool', value: true }]]);
const NOT_FINAL: InferParameters = new Map([['triton_final_response', { kind: 'bool', value: false }]]);

/**
 * A request that fails is answered in band, with its id, and the stream goes on. An answer takes of the server's budget
 * until it is written: many streams whose clients do not read are bounded together, and what does not fit is shed.
 */
export async function inferInStream(
  { wire, call, tensors, deliver }: StreamedMessage,
  gateway: Gateway,
): Promise<StreamReply | undefined> {
  const record = new InferenceRecord(wire, call, tensors);
  const early = refuseEarly(record, gateway);
  if (early !== undefined) {
    record.end();
    return refusalOf(early, record);
  }
  try {
    const partial = {
      parameters: NOT_FINAL,
      deliver: async (chunks: readonly Uint8Array[]) => deliver(replyOf(chunks, gateway)),
    };
    const { chunks, isDecoupled } = await infer(record, gateway, { parameters: FINAL, partial });
    const end = isDecoupled === true ? endOf(record) : chunks;
    return end === undefined ? undefined : replyOf(end, gateway);
  } catch (thrown) {
    return refusalOf(InferError.from(thrown), record);
  }
}

/** @throws InferError where the server has no room for it */
function replyOf(chunks: readonly Uint8Array[], { admission }: Gateway): StreamReply {
  const permit = admission.tryHold(bytesOf(chunks));
  return { chunks: encodeStreamResponse({ response: chunks }), release: () => permit[Symbol.dispose]() };
}

/** The end of the answers of a decoupled model. As with Triton, it has no version, and only a caller that asks for it receives it. */
function endOf({ model, request }: InferenceRecord): readonly Uint8Array[] | undefined {
  const asked = request?.parameters.get('triton_enable_empty_final_response');
  if (model === undefined || request === undefined || asked?.kind !== 'bool' || !asked.value) return undefined;
  const empty = { modelName: model.ref.name, modelVersion: '', id: request.id, parameters: FINAL, outputs: [] };
  return encodeInferResponse(empty, 'raw');
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
