/** A request that the code of a model makes: the path of a client's request, without a transport, and without the tenant's rate. */

import type { Call } from './accept/call.ts';
import { type Gateway, infer } from './infer.ts';
import { InferenceRecord } from './inference-record.ts';

/** @returns the parts of an encoded ModelInferResponse. @throws InferError */
export async function inferWithin(wire: Uint8Array, call: Call, gateway: Gateway): Promise<readonly Uint8Array[]> {
  return (await infer(new InferenceRecord(wire, call), gateway)).chunks;
}
