/**
 * Clients send the same JSON before each set of binary tensors: names and shapes do not change. JSON that comes again, byte for
 * byte, means the same, so it is neither read nor encoded again.
 */

import { encodeInferRequest } from '../../../wire/infer-request.ts';
import type { BinaryOutputs, ParsedRequest } from './infer-json.ts';

/** A request as the gateway takes it. */
export interface ReadRequest {
  /** The message of gRPC without its tensors. */
  readonly wire: Uint8Array;
  readonly tensors: readonly Uint8Array[];
  readonly binary: BinaryOutputs;
}

interface Head {
  /** A copy: the body that it came in is not held. */
  readonly json: Buffer;
  readonly wire: Uint8Array;
  /** Bytes of each tensor behind it. */
  readonly sizes: readonly number[];
  readonly tensorBytes: number;
  readonly binary: BinaryOutputs;
}

const MAX_HEADS = 64;
const MAX_HEAD_BYTES = 4_096;

export class RepeatedHeads {
  readonly #heads = new Map<string, Head>();

  /** The request in the body, where its JSON is the last one of this length that the path had. */
  find(path: string, body: Buffer, headerLength: number): ReadRequest | undefined {
    const head = this.#heads.get(keyOf(path, headerLength));
    if (head === undefined || body.byteLength !== headerLength + head.tensorBytes) return undefined;
    if (head.json.compare(body, 0, headerLength) !== 0) return undefined;
    const { wire, binary, sizes } = head;
    const tensors: Uint8Array[] = [];
    let at = headerLength;
    for (const size of sizes) {
      tensors.push(body.subarray(at, at + size));
      at += size;
    }
    return { wire, tensors, binary };
  }

  /** The parsed request as the gateway takes it. It is remembered if all of its tensors are binary. */
  add(path: string, body: Buffer, headerLength: number, parsed: ParsedRequest): ReadRequest {
    const read = readRequestOf(parsed);
    const sizes = read.tensors.map(({ byteLength }) => byteLength);
    const tensorBytes = sizes.reduce((sum, bytes) => sum + bytes, 0);
    const isBinary = tensorBytes === body.byteLength - headerLength;
    if (!isBinary || headerLength > MAX_HEAD_BYTES) return read;
    if (this.#heads.size >= MAX_HEADS) this.#heads.clear();
    const json = Buffer.from(body.subarray(0, headerLength));
    this.#heads.set(keyOf(path, headerLength), { json, sizes, tensorBytes, wire: read.wire, binary: read.binary });
    return read;
  }
}

export function readRequestOf({ request, binary }: ParsedRequest): ReadRequest {
  const { rawInputContents: tensors, ...head } = request;
  return { wire: Buffer.concat(encodeInferRequest({ ...head, rawInputContents: [] })), tensors, binary };
}

function keyOf(path: string, headerLength: number): string {
  return `${headerLength} ${path}`;
}
