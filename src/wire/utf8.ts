/**
 * Where the bytes from `start` to `end` stop being UTF-8, or -1: no overlong forms, no surrogates, nothing above U+10FFFF (Unicode,
 * table 3-7). Node's own check wants a view, which is an object per string.
 */
export function findInvalidUtf8(bytes: Buffer, start: number, end: number): number {
  let at = start;
  while (at < end) {
    const lead = bytes[at] as number;
    if (lead < 0x80) {
      at += 1;
      continue;
    }
    const length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (lead < 0xc2 || lead > 0xf4 || at + length > end) return at;
    // Only the second byte has a range that depends on the first.
    const lowest = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
    const highest = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
    const second = bytes[at + 1] as number;
    if (second < lowest || second > highest) return at;
    for (let i = 2; i < length; i += 1) if (((bytes[at + i] as number) & 0xc0) !== 0x80) return at;
    at += length;
  }
  return -1;
}
