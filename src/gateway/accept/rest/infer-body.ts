/** The body of an answer to an inference: small ones at once, large ones while the client takes them. */

import type { HttpAnswer } from '../http/http-answer.ts';
import type { Slices } from '../slices.ts';
import type { BodyCharge } from './body-budget.ts';
import type { InferAnswer } from './infer-answer.ts';

/** JSON up to so many bytes is made before the answer begins, which then says how long it is. */
const WHOLE_BYTES = 4 * 2 ** 20;

/** How long the JSON is, where binary tensors follow it: it comes before them, in a header. */
export type InferBody = Pick<HttpAnswer, 'chunks' | 'rest'> & { readonly headerLength: number | undefined };

/** @throws InferError `queue_full` where JSON that has to be whole has no room */
export function inferBody(
  answer: InferAnswer,
  slices: Slices,
  charge: Pick<BodyCharge, 'take'>,
): InferBody | Promise<InferBody> {
  if (!answer.isBinary || answer.tensors.length === 0) return bodyWithElements(answer, slices, charge);
  const json = Buffer.from(answer.text());
  charge.take(json.byteLength);
  return { chunks: [json, ...answer.tensors], headerLength: json.byteLength };
}

async function bodyWithElements(
  answer: InferAnswer,
  slices: Slices,
  charge: Pick<BodyCharge, 'take'>,
): Promise<InferBody> {
  const { tensors } = answer;
  const json = answer.json();
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for (let next = json.next(); next.done !== true; next = json.next()) {
    chunks.push(next.value);
    bytes += next.value.byteLength;
    if (tensors.length > 0) charge.take(next.value.byteLength);
    else if (bytes > WHOLE_BYTES) {
      const rest = { chunks: inSlices(json, slices), heldBytes: answer.heldBytes };
      return { chunks, rest, headerLength: undefined };
    }
    // Most answers are one chunk, and wait for nothing.
    if (chunks.length > 1 && slices.isOver) await slices.next();
  }
  return tensors.length === 0
    ? { chunks, headerLength: undefined }
    : { chunks: [...chunks, ...tensors], headerLength: bytes };
}

async function* inSlices(json: Iterable<Uint8Array>, slices: Slices): AsyncGenerator<Uint8Array, void> {
  for (const chunk of json) {
    yield chunk;
    if (slices.isOver) await slices.next();
  }
}
