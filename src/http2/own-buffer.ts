/**
 * Gives the memory of `bytes` back now rather than when it is collected, where it is a buffer of its own: every view of it is
 * empty afterwards. A view of a larger buffer is left alone, because its neighbours lie there.
 */
export function freeOwnBuffer({ buffer, byteLength }: Uint8Array): void {
  if (byteLength > 0 && byteLength === buffer.byteLength) (buffer as ArrayBuffer).transfer(0);
}
