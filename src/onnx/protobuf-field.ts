/** The fields of a protobuf message that is read sparsely: contents are skipped by their lengths. */

export interface MessageField {
  readonly number: number;
  /** Where the contents of a field with a length begin; otherwise where the field ends. */
  readonly start: number;
  /** Where the next field begins. */
  readonly end: number;
  /** The number that a varint holds; 0 for other fields. */
  readonly value: number;
}

/** The longest head of a field: a tag and a length, of at most ten bytes each. */
export const FIELD_HEAD_BYTES = 20;

/**
 * @param head the bytes from the field on: `FIELD_HEAD_BYTES`, or as many as the message has.
 * @param at where the field stands in its message.
 * @returns `cut-off` where the message ends inside the head of the field; `foreign` where the bytes are no field.
 */
export function fieldOf(head: Uint8Array, at: number): MessageField | 'cut-off' | 'foreign' {
  const tag = varintAt(head, 0);
  if (tag === undefined) return head.byteLength < 10 ? 'cut-off' : 'foreign';
  const number = Math.floor(tag.value / 8);
  if (number === 0) return 'foreign';
  const ending = (length: number): MessageField => {
    const end = at + tag.end + length;
    return { number, start: end, end, value: 0 };
  };
  switch (tag.value % 8) {
    case 0: {
      const value = varintAt(head, tag.end);
      return value === undefined ? 'cut-off' : { ...ending(value.end - tag.end), value: value.value };
    }
    case 1:
      return ending(8);
    case 2: {
      const length = varintAt(head, tag.end);
      if (length === undefined) return 'cut-off';
      return { number, start: at + length.end, end: at + length.end + length.value, value: 0 };
    }
    case 5:
      return ending(4);
    default:
      return 'foreign';
  }
}

function varintAt(bytes: Uint8Array, start: number): { readonly value: number; readonly end: number } | undefined {
  let value = 0;
  for (let at = start; at < bytes.byteLength && at < start + 10; at++) {
    const byte = bytes[at] ?? 0;
    value += (byte & 0x7f) * 2 ** (7 * (at - start));
    if (byte < 0x80) return { value, end: at + 1 };
  }
  return undefined;
}

/** Bytes of a message, mostly of one in a file. */
export interface MessageBytes {
  readonly size: number;
  /** `length` bytes, or those that there are; they hold until the next call. */
  bytes(from: number, length: number): Uint8Array;
}

/** A message is damaged, or is none. */
export class DamagedMessage extends Error {}

/** The result of `read`, or undefined where it meets a damaged message. */
export function ifSound<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof DamagedMessage) return undefined;
    throw error;
  }
}

/** The fields from `from` to `to`, in their order. @throws DamagedMessage */
export function* fieldsOf(message: MessageBytes, from: number, to: number): Generator<MessageField & { at: number }> {
  for (let at = from; at < to; ) {
    const field = fieldOf(message.bytes(at, Math.min(FIELD_HEAD_BYTES, to - at)), at);
    if (typeof field === 'string' || field.end > to) throw new DamagedMessage(`no field at byte ${at}`);
    yield { ...field, at };
    at = field.end;
  }
}

/** The head of a field with a length: its tag and the length. */
export function fieldHead(number: number, length: number): Uint8Array {
  return Uint8Array.from([...varint(number * 8 + 2), ...varint(length)]);
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 0x80)) {
    if (rest < 0x80) return [...bytes, rest];
    bytes.push((rest % 0x80) + 0x80);
  }
}
