/**
 * Frees the memory of `bytes` now instead of at the next collection, if it is a buffer of its own: every view of it is empty
 * afterwards. A view of a larger buffer is not freed, because the buffer holds other data.
 */
export function freeOwnBuffer({ buffer, byteLength }: Uint8Array): void {
  if (byteLength > 0 && byteLength === buffer.byteLength) (buffer as ArrayBuffer).transfer(0);
}
