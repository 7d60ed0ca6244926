/** A request that the code of a model makes: the path of a client's request, without a transport. */

import type { Call } from './accept/call.ts';
import { refuseEarly } from './admit/early-refusal.ts';
import { type Gateway, infer } from './infer.ts';
import { InferenceRecord } from './inference-record.ts';

/** @returns the parts of an encoded ModelInferResponse. @throws InferError */
export async function inferWithin(wire: Uint8Array, call: Call, gateway: Gateway): Promise<readonly Uint8Array[]> {
  const record = new InferenceRecord(wire, call);
  const refusal = refuseEarly(record, gateway);
  if (refusal !== undefined) {
    record.end();
    throw refusal;
  }
  return (await infer(record, gateway)).chunks;
}
