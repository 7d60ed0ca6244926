/** The prefix of a message (grpc/grpc: doc/PROTOCOL-HTTP2.md, "Length-Prefixed-Message"): a flag, and the length. */

export const PREFIX_BYTES = 5;

const prefix = Buffer.allocUnsafeSlow(PREFIX_BYTES);
prefix[0] = 0;

/** Prefix of an uncompressed message. @returns bytes that change with the next prefix: no message allocates its own */
export function prefixOf(byteLength: number): Buffer {
  prefix.writeUInt32BE(byteLength, 1);
  return prefix;
}
