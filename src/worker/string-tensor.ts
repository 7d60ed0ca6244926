/** String tensors: raw BYTES contents (a 4-byte little-endian length before each element) <-> the JavaScript strings that ONNX Runtime takes. */

/** `raw` was checked by the gateway: whole elements, valid UTF-8, no NUL (ONNX Runtime would cut there). */
export function decodeStrings(raw: Buffer): string[] {
  const strings: string[] = [];
  for (let at = 0; at < raw.length; ) {
    const length = raw.readUInt32LE(at);
    strings.push(raw.toString('utf8', at + 4, at + 4 + length));
    at += 4 + length;
  }
  return strings;
}

export function encodedLength(strings: readonly string[]): number {
  let total = 0;
  for (const text of strings) total += 4 + Buffer.byteLength(text);
  return total;
}

export function encodeStrings(strings: readonly string[]): Uint8Array {
  const raw = Buffer.allocUnsafeSlow(encodedLength(strings));
  let at = 0;
  for (const text of strings) {
    const written = raw.write(text, at + 4, 'utf8');
    raw.writeUInt32LE(written, at);
    at += 4 + written;
  }
  return raw;
}
