/**
 * ASCII texts read lately. The names of models and tensors are few and come in every message; to compare one takes half
 * the time of making it again, and equal names become the same string, which lookups by name like.
 */
const recentTexts: string[] = new Array(256).fill('');
const MAX_RECENT_BYTES = 32;

/** The string of `length` bytes of UTF-8 from `start` on. */
export function textOf(bytes: Buffer, start: number, length: number): string {
  if (length === 0) return '';
  if (length > MAX_RECENT_BYTES) return bytes.toString('utf8', start, start + length);
  const first = bytes[start] as number;
  const last = bytes[start + length - 1] as number;
  const slot = (length * 37 + first * 5 + last * 11) % recentTexts.length;
  const recent = recentTexts[slot];
  if (recent !== undefined && recent.length === length && isAt(bytes, start, recent)) return recent;
  const text = bytes.toString('utf8', start, start + length);
  // Only ASCII has as many UTF-16 units as bytes, and only ASCII may be compared unit by byte.
  if (text.length === length) recentTexts[slot] = text;
  return text;
}

/** Whether the bytes from `start` on equal `ascii`. */
function isAt(bytes: Buffer, start: number, ascii: string): boolean {
  for (let i = 0; i < ascii.length; i += 1) if (ascii.charCodeAt(i) !== bytes[start + i]) return false;
  return true;
}
