import type { TensorBytes } from '../../../wire/tensor-bytes.ts';

/** Bytes that a message of a stream counts besides its own while it waits for its handler: its objects. It may have none itself. */
const MESSAGE_BYTES = 256;

/** Bytes that a message of a stream counts while it waits for its handler: the same at both ends of a line. */
export function messageCost(message: Uint8Array, tensors: readonly TensorBytes[] = []): number {
  return MESSAGE_BYTES + message.byteLength + byteLengthOf(tensors);
}

/** Bytes of all of them, wherever they lie. */
export function byteLengthOf(parts: readonly { readonly byteLength: number }[]): number {
  let byteLength = 0;
  for (const part of parts) byteLength += part.byteLength;
  return byteLength;
}
