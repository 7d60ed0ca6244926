import { malformedAt, UNLIMITED_FIELDS, WireError } from './limits.ts';
import { textOf } from './recent-text.ts';
import { findInvalidUtf8 } from './utf8.ts';
import { WireType, type WireTypeNumber } from './wire-type.ts';

/** Groups are met only as unknown fields, and skipped; no current protobuf writes them. */
const MAX_GROUP_DEPTH = 16;

/** The place of a text that a message does not have. No text starts at byte 0: its tag is before it. */
export const NO_TEXT = 0;

/**
 * A strict cursor over one protobuf message, for decoders that allocate nothing but what they keep.
 *
 * `next()` moves to a field, the other methods consume its value; each checks the wire type first. A nested message is read
 * in place, between `enter` and `leave`. Whatever breaks the encoding throws a malformed `WireError` that names the byte:
 * no value reaches past the message that holds it, no varint is longer than 10 bytes or wider than 64 bits.
 */
export class ProtobufReader {
  readonly #bytes: Buffer;
  #position = 0;
  /** Fields that may still come. */
  #fieldsLeft: number;
  /** Where the message being read ends; `#position` never passes it. */
  #end: number;
  #field = 0;
  #wireType = 0;
  /** The halves of the last varint, each unsigned: a BigInt or a pair would be an object per value. Only the reader sets them. */
  low = 0;
  high = 0;

  /** @param maxFields of the message and all within it: what bounds the time to read one whose fields hold nothing. */
  constructor(bytes: Uint8Array, maxFields: number = UNLIMITED_FIELDS) {
    this.#fieldsLeft = maxFields;
    this.#bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#end = bytes.length;
  }

  get position(): number {
    return this.#position;
  }

  /** How many bytes are left of the message being read. */
  get left(): number {
    return this.#end - this.#position;
  }

  /** Moves to the next field of the message. Returns its number, or 0 at the end. */
  next(): number {
    if (this.#position === this.#end) return 0;
    const at = this.#position;
    if (this.#fieldsLeft === 0) throw new WireError('limit', `more fields than a message may have, at byte ${at}`);
    this.#fieldsLeft -= 1;
    this.readVarint();
    if (this.high !== 0) throw malformedAt(at, 'a tag is wider than 32 bits');
    this.#field = this.low >>> 3;
    this.#wireType = this.low & 7;
    if (this.#field === 0) throw malformedAt(at, 'field number 0');
    if (this.#wireType > WireType.FIXED32) throw malformedAt(at, `wire type ${this.#wireType}, which does not exist`);
    return this.#field;
  }

  /** The wire type of the field that `next` moved to. `skip` reads all fields within a group, however many there are. */
  get wireType(): number {
    return this.#wireType;
  }

  /** Skips the value of a field. Returns its wire type. */
  skip(): number {
    const wireType = this.#wireType;
    switch (wireType) {
      case WireType.VARINT:
        this.readVarint();
        break;
      case WireType.FIXED64:
        this.#advance(8);
        break;
      case WireType.LENGTH_DELIMITED:
        this.#advance(this.#readLength());
        break;
      case WireType.GROUP_START:
        this.#skipGroup(1);
        break;
      case WireType.GROUP_END:
        throw malformedAt(this.#position, `group ${this.#field} ends, but is not open`);
      default:
        this.#advance(4);
    }
    return wireType;
  }

  /** Enters a nested message, or a packed field. Returns what `leave` wants back. */
  enter(what: string): number {
    this.expect(WireType.LENGTH_DELIMITED, what);
    const length = this.#readLength();
    const outerEnd = this.#end;
    this.#end = this.#position + length;
    return outerEnd;
  }

  /** Leaves a nested message that was read to its end. */
  leave(outerEnd: number): void {
    this.#end = outerEnd;
  }

  expect(wireType: WireTypeNumber, what: string): void {
    if (this.#wireType !== wireType) {
      throw malformedAt(this.#position, `${what} has wire type ${this.#wireType}, expected ${wireType}`);
    }
  }

  /** Consumes a `bytes` value and returns it as a view of the message. */
  bytes(what: string): Uint8Array {
    const length = this.skipBytes(what);
    return this.view(this.#position - length, this.#position);
  }

  /** Consumes a `bytes` value and returns its length; it now ends at `position`. */
  skipBytes(what: string): number {
    this.expect(WireType.LENGTH_DELIMITED, what);
    const length = this.#readLength();
    this.#position += length;
    return length;
  }

  /** Not copied. */
  view(start: number, end: number): Uint8Array {
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + start, end - start);
  }

  /** Copies `length` bytes from `start` on into `target` at `offset`. */
  copy(start: number, length: number, target: Uint8Array, offset: number): void {
    // A native copy costs more to call than a few bytes cost to move.
    if (length > 64) this.#bytes.copy(target, offset, start, start + length);
    else for (let i = 0; i < length; i += 1) target[offset + i] = this.#bytes[start + i] as number;
  }

  /**
   * Consumes a `string` value of at most `maxBytes`, checks that it is UTF-8, and returns its place for `textAt`.
   * It makes no string, so a singular field that repeats a million times, and counts only once, costs nothing.
   */
  text(what: string, maxBytes: number): number {
    this.expect(WireType.LENGTH_DELIMITED, what);
    const place = this.#position;
    const length = this.#readLength();
    if (length > maxBytes) {
      throw new WireError('limit', `${what} at byte ${place} has ${length} bytes, at most ${maxBytes} are allowed`);
    }
    const start = this.#position;
    this.#position = start + length;
    const invalid = findInvalidUtf8(this.#bytes, start, this.#position);
    if (invalid !== -1) throw malformedAt(invalid, `${what} is not UTF-8`);
    return place;
  }

  /** The string at a place that `text` returned, within the same message; `''` for `NO_TEXT`. */
  textAt(place: number): string {
    if (place === NO_TEXT) return '';
    const resume = this.#position;
    this.#position = place;
    const length = this.#readLength();
    const text = textOf(this.#bytes, this.#position, length);
    this.#position = resume;
    return text;
  }

  bool(what: string): boolean {
    this.expect(WireType.VARINT, what);
    this.readVarint();
    return (this.low | this.high) !== 0;
  }

  int64(what: string): bigint {
    this.expect(WireType.VARINT, what);
    this.readVarint();
    return (BigInt(this.high | 0) << 32n) | BigInt(this.low);
  }

  uint64(what: string): bigint {
    this.expect(WireType.VARINT, what);
    this.readVarint();
    return (BigInt(this.high) << 32n) | BigInt(this.low);
  }

  double(what: string): number {
    this.expect(WireType.FIXED64, what);
    this.#advance(8);
    return this.#bytes.readDoubleLE(this.#position - 8);
  }

  /** The last varint as an `int64` in a number: exact up to 2^53, the nearest number above. */
  get int64Number(): number {
    return (this.high | 0) * 0x1_0000_0000 + this.low;
  }

  /** Reads a varint into `low` and `high`, whatever the wire type says: an element, where `enterVarints` was called. */
  readVarint(): void {
    const at = this.#position;
    const byte = at < this.#end ? (this.#bytes[at] as number) : 0x80;
    if (byte > 0x7f) {
      this.#readLongVarint();
      return;
    }
    this.low = byte;
    this.high = 0;
    this.#position = at + 1;
  }

  /** Enters the value of a repeated varint field, which holds one element or, packed, any number of them. */
  enterVarints(what: string): number {
    if (this.#wireType !== WireType.VARINT) return this.enter(what);
    const start = this.#position;
    this.readVarint();
    const outerEnd = this.#end;
    this.#end = this.#position;
    this.#position = start;
    return outerEnd;
  }

  /**
   * Consumes the value of a repeated field of `size` bytes an element, which holds one or, packed, any number of them.
   * Returns how many bytes they have; they end at `position`.
   */
  skipFixed(what: string, size: 4 | 8): number {
    if (this.#wireType === (size === 4 ? WireType.FIXED32 : WireType.FIXED64)) {
      this.#advance(size);
      return size;
    }
    const length = this.skipBytes(what);
    if (length % size !== 0) {
      throw malformedAt(this.#position - length, `${what} has ${length} packed bytes, not a multiple of ${size}`);
    }
    return length;
  }

  /** The error for a message that is well encoded, but wrong at the current byte. */
  malformed(text: string): WireError {
    return malformedAt(this.#position, text);
  }

  /** A varint of more than one byte. Apart, so that the short one is inlined everywhere. */
  #readLongVarint(): void {
    const start = this.#position;
    let low = 0;
    let high = 0;
    for (let at = start; at < this.#end; at += 1) {
      const byte = this.#bytes[at] as number;
      const bits = byte & 0x7f;
      const shift = (at - start) * 7;
      if (shift < 28) low |= bits << shift;
      else if (shift > 28) high |= bits << (shift - 32);
      else {
        low |= bits << 28;
        high = bits >>> 4;
      }
      if (byte < 0x80) {
        if (shift === 63 && byte > 1) throw malformedAt(start, 'a varint is wider than 64 bits');
        this.low = low >>> 0;
        this.high = high >>> 0;
        this.#position = at + 1;
        return;
      }
      if (shift === 63) throw malformedAt(start, 'a varint is longer than 10 bytes');
    }
    throw malformedAt(start, 'a varint is cut off');
  }

  #readLength(): number {
    const at = this.#position;
    this.readVarint();
    const left = this.#end - this.#position;
    if (this.high !== 0 || this.low > left) {
      const length = this.high * 0x1_0000_0000 + this.low;
      throw malformedAt(at, `a length of ${length}, ${left} bytes are left`);
    }
    return this.low;
  }

  #advance(length: number): void {
    if (length > this.left) throw malformedAt(this.#position, `a value of ${length} bytes, ${this.left} are left`);
    this.#position += length;
  }

  #skipGroup(depth: number): void {
    const group = this.#field;
    const start = this.#position;
    if (depth > MAX_GROUP_DEPTH) throw malformedAt(start, `groups nested deeper than ${MAX_GROUP_DEPTH}`);
    while (this.next() !== 0) {
      if (this.#wireType === WireType.GROUP_START) this.#skipGroup(depth + 1);
      else if (this.#wireType !== WireType.GROUP_END) this.skip();
      else if (this.#field === group) return;
      else throw malformedAt(this.#position, `group ${this.#field} ends inside group ${group}`);
    }
    throw malformedAt(start, `group ${group} is not ended`);
  }
}
