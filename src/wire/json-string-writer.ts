import { isUtf8 } from 'node:buffer';
import { Byte } from './json-bytes.ts';
import { writeText } from './json-digits.ts';

/** The most that one byte becomes: `\u001f`. One that is no UTF-8 becomes a replacement character, of three bytes. */
const MAX_BYTE_LENGTH = 6;
const MAX_CHARACTER_BYTES = 4;
/** Room for a quote, one character in the worst case, and a quote. */
export const MAX_STRING_STEP_BYTES = 2 + MAX_BYTE_LENGTH * MAX_CHARACTER_BYTES;

const SHORT_ESCAPES: ReadonlyMap<number, string> = new Map(
  Object.entries({ '\b': '\\b', '\t': '\\t', '\n': '\\n', '\f': '\\f', '\r': '\\r', '"': '\\"', '\\': '\\\\' }).map(
    ([character, written]) => [character.charCodeAt(0), written],
  ),
);
/** A byte order mark is a character of the string. */
const UTF_8 = new TextDecoder('utf-8', { ignoreBOM: true });

/** Writes a text in UTF-8 as a string of JSON, in as many steps as buffers need. */
export class JsonStringWriter {
  #text: Uint8Array = new Uint8Array(0);
  #at = 0;
  isDone = true;

  /** @returns where what has been written ends */
  begin(text: Uint8Array, target: Buffer, start: number): number {
    this.#text = text;
    this.#at = 0;
    this.isDone = false;
    target[start] = Byte.QUOTE;
    return this.write(target, start + 1);
  }

  /** Writes on. @param target with room for a step from `start` on @returns where what has been written ends */
  write(target: Buffer, start: number): number {
    const text = this.#text;
    // One byte is left for the quote.
    const last = target.length - 1 - MAX_BYTE_LENGTH;
    let at = start;
    while (this.#at < text.length && at <= last) {
      const byte = text[this.#at] as number;
      if (byte >= 0x80) {
        const end = this.#endOfRun(Math.floor((target.length - 1 - at) / 3));
        if (end === this.#at) return at;
        const run = text.subarray(this.#at, end);
        const valid = isUtf8(run) ? run : Buffer.from(UTF_8.decode(run));
        target.set(valid, at);
        at += valid.length;
        this.#at = end;
      } else {
        if (byte >= Byte.SPACE && byte !== Byte.QUOTE && byte !== Byte.BACKSLASH) target[at++] = byte;
        else at = writeText(target, at, SHORT_ESCAPES.get(byte) ?? `\\u${byte.toString(16).padStart(4, '0')}`);
        this.#at += 1;
      }
    }
    if (this.#at < text.length) return at;
    this.isDone = true;
    target[at] = Byte.QUOTE;
    return at + 1;
  }

  /** Where bytes end that are no ASCII, at most `room` of them; a character is not cut, and too little room holds none. */
  #endOfRun(room: number): number {
    const text = this.#text;
    if (room < MAX_CHARACTER_BYTES) return this.#at;
    const stop = Math.min(text.length, this.#at + room);
    let end = this.#at;
    while (end < stop && (text[end] as number) >= 0x80) end += 1;
    if (end < stop || end === text.length || (text[end] as number) < 0x80) return end;
    // The bytes 10xxxxxx belong to the character before them.
    let cut = end;
    while (end - cut < MAX_CHARACTER_BYTES && cut > this.#at && ((text[cut] as number) & 0xc0) === 0x80) cut -= 1;
    return cut > this.#at ? cut : end;
  }
}
