/** Decoding leaves typed contents unread until their model is known; here they are read with the rest, as protobufjs reads them. */

import { decodeInferRequest, type InferRequest } from '../../src/wire/infer-request.ts';
import type { WireLimits } from '../../src/wire/limits.ts';
import { TypedContentsReading } from '../../src/wire/typed-contents.ts';

/** @throws WireError */
export function decodeWhole(message: Uint8Array, limits: WireLimits): InferRequest {
  const request = decodeInferRequest(message, limits);
  for (const { contents } of request.inputs) if (contents !== undefined) countElements(contents);
  return request;
}

/** The elements of all fields: each is read as the datatype that travels in it. */
export function countElements(contents: Uint8Array): number {
  const datatypes = ['BOOL', 'INT32', 'INT64', 'UINT32', 'UINT64', 'FP32', 'FP64', 'BYTES'] as const;
  return datatypes.reduce((sum, datatype) => {
    const reading = new TypedContentsReading(contents, datatype, 0);
    reading.advance();
    return sum + reading.elements;
  }, 0);
}
