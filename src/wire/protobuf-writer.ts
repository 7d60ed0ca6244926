import { WireType, type WireTypeNumber } from './wire-type.ts';

const MAX_VARINT_BYTES = 10;
/** The tag of the greatest field number, 2^29 - 1. */
const MAX_TAG_BYTES = 5;

interface View {
  /** How many bytes of the writer's own come before it. */
  at: number;
  readonly bytes: Uint8Array;
}

/**
 * Appends the fields of one protobuf message. Texts and numbers go to a buffer of the
 * writer's own; large values stay views, so `finish` returns chunks. Every method writes its field, default value or not:
 * the caller leaves out what proto3 leaves out.
 */
export class ProtobufWriter {
  #bytes = Buffer.allocUnsafe(256);
  #length = 0;
  readonly #views: View[] = [];

  /** Bytes that were written, views not counted. */
  get length(): number {
    return this.#length;
  }

  /** Begins a nested message. Returns what `end` wants back. */
  begin(field: number): number {
    this.#reserve(MAX_TAG_BYTES + 1);
    this.#tag(field, WireType.LENGTH_DELIMITED);
    this.#length += 1;
    return this.#length;
  }

  /**
   * Ends the nested message whose content began at `start`. One byte is reserved for its length; a longer length moves the content.
   * That is cheap, because large content is a view.
   */
  end(start: number): void {
    let length = this.#length - start;
    for (const view of this.#views) if (view.at >= start) length += view.bytes.length;
    const extra = varintBytes(length) - 1;
    if (extra > 0) {
      this.#reserve(extra);
      this.#bytes.copyWithin(start + extra, start, this.#length);
      for (const view of this.#views) if (view.at >= start) view.at += extra;
    }
    const end = this.#length + extra;
    this.#length = start - 1;
    this.#varint(length, 0);
    this.#length = end;
  }

  /** A `string` field. A lone surrogate, which UTF-8 cannot hold, becomes U+FFFD. */
  text(field: number, text: string): void {
    const length = text.length;
    this.#reserve(MAX_TAG_BYTES + 1 + length);
    this.#tag(field, WireType.LENGTH_DELIMITED);
    // Nearly every text is short and ASCII, and then written here in less than a native call takes.
    if (length < 128 && this.#ascii(this.#length + 1, text)) {
      this.#bytes[this.#length] = length;
      this.#length += 1 + length;
      return;
    }
    const size = Buffer.byteLength(text, 'utf8');
    this.#reserve(MAX_VARINT_BYTES + size);
    this.#varint(size, 0);
    this.#length += this.#bytes.write(text, this.#length, 'utf8');
  }

  /** A singular `string` field, which proto3 leaves out when it is empty. */
  textUnlessEmpty(field: number, text: string): void {
    if (text !== '') this.text(field, text);
  }

  /** A `bytes` field or an encoded message, kept as a view. */
  bytes(field: number, bytes: Uint8Array): void {
    this.#reserve(MAX_TAG_BYTES + MAX_VARINT_BYTES);
    this.#tag(field, WireType.LENGTH_DELIMITED);
    this.#varint(bytes.length, 0);
    this.append(bytes);
  }

  /** A `bytes` field that is copied: the bytes of `source` from `start` to `end`. */
  copiedBytes(field: number, source: Uint8Array, start: number, end: number): void {
    this.#reserve(MAX_TAG_BYTES + MAX_VARINT_BYTES + end - start);
    this.#tag(field, WireType.LENGTH_DELIMITED);
    this.#varint(end - start, 0);
    // A native copy costs more to call than a few bytes cost to move.
    if (end - start > 64) this.#bytes.set(source.subarray(start, end), this.#length);
    else for (let i = start; i < end; i += 1) this.#bytes[this.#length + i - start] = source[i] as number;
    this.#length += end - start;
  }

  /** Encoded fields, kept as a view. */
  append(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#views.push({ at: this.#length, bytes });
  }

  bool(field: number, value: boolean): void {
    this.#reserve(MAX_TAG_BYTES + 1);
    this.#tag(field, WireType.VARINT);
    this.#varint(value ? 1 : 0, 0);
  }

  bigint(field: number, value: bigint): void {
    this.#reserve(MAX_TAG_BYTES + MAX_VARINT_BYTES);
    this.#tag(field, WireType.VARINT);
    this.#varint(Number(BigInt.asUintN(32, value)), Number(BigInt.asUintN(32, value >> 32n)));
  }

  double(field: number, value: number): void {
    this.#reserve(MAX_TAG_BYTES + 8);
    this.#tag(field, WireType.FIXED64);
    this.#length = this.#bytes.writeDoubleLE(value, this.#length);
  }

  /** A field of 4 or 8 bytes. */
  fixed(field: number, wireType: typeof WireType.FIXED32 | typeof WireType.FIXED64, bytes: Uint8Array): void {
    this.#reserve(MAX_TAG_BYTES + bytes.length);
    this.#tag(field, wireType);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** An element of a packed varint field, between `begin` and `end`: its low and high 32 bits. */
  element(low: number, high: number): void {
    this.#reserve(MAX_VARINT_BYTES);
    this.#varint(low, high);
  }

  /** The message, in chunks: the writer's own bytes and the views between them. */
  finish(): Uint8Array[] {
    const chunks: Uint8Array[] = [];
    let at = 0;
    for (const view of this.#views) {
      if (view.at > at) chunks.push(this.#bytes.subarray(at, view.at));
      chunks.push(view.bytes);
      at = view.at;
    }
    if (this.#length > at) chunks.push(this.#bytes.subarray(at, this.#length));
    return chunks;
  }

  /** Writes `text` at `start` if it is ASCII; says whether it is. */
  #ascii(start: number, text: string): boolean {
    const bytes = this.#bytes;
    for (let i = 0; i < text.length; i += 1) {
      const unit = text.charCodeAt(i);
      if (unit > 0x7f) return false;
      bytes[start + i] = unit;
    }
    return true;
  }

  #tag(field: number, wireType: WireTypeNumber): void {
    this.#varint((field << 3) | wireType, 0);
  }

  #varint(low: number, high: number): void {
    let rest = low >>> 0;
    let above = high >>> 0;
    while (above !== 0 || rest > 0x7f) {
      this.#bytes[this.#length++] = (rest & 0x7f) | 0x80;
      rest = ((rest >>> 7) | (above << 25)) >>> 0;
      above >>>= 7;
    }
    this.#bytes[this.#length++] = rest;
  }

  #reserve(size: number): void {
    const needed = this.#length + size;
    if (needed <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(needed, 2 * this.#bytes.length));
    this.#bytes.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
  }
}

function varintBytes(value: number): number {
  let size = 1;
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) size += 1;
  return size;
}
