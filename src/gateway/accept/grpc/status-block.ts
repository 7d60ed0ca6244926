/** Header fields of a failed call, encoded: the same for every connection, because no table takes them. */

import { HpackEncoder } from '../../../http2/hpack-encoder.ts';
import type { StatusCode } from '../../errors.ts';
import { PUSHBACK_TRAILER } from '../failure.ts';

export interface StatusBlock {
  readonly bytes: Uint8Array;
  /** Size of name and value of `grpc-message`, counted as in RFC 9113, section 6.5.2. */
  readonly listBytes: number;
}

/** An overload refuses with few texts at a time: those with equal numbers are one. */
const MAX_BLOCKS = 64;

const blocks = new Map<StatusCode, Map<string, StatusBlock>>();

/** `grpc-status` and, unless `text` is empty, `grpc-message`. */
export function statusBlock(code: StatusCode, text: string): StatusBlock {
  let ofCode = blocks.get(code);
  if (ofCode === undefined) {
    ofCode = new Map();
    blocks.set(code, ofCode);
  }
  const known = ofCode.get(text);
  if (known !== undefined) return known;
  const made = makeBlock(code, text);
  if (ofCode.size >= MAX_BLOCKS) ofCode.clear();
  ofCode.set(text, made);
  return made;
}

function makeBlock(code: StatusCode, text: string): StatusBlock {
  const encoder = new HpackEncoder();
  encoder.literal('grpc-status', String(code));
  if (text === '') return { bytes: encoder.end(), listBytes: 0 };
  const value = percentEncode(text);
  encoder.literal('grpc-message', value);
  return { bytes: encoder.end(), listBytes: fieldBytes('grpc-message', value) };
}

export function fieldBytes(name: string, value: string): number {
  return name.length + value.length + 32;
}

/** The field `grpc-retry-pushback-ms` without its value. */
export const PUSHBACK_NAME = ((): Uint8Array => {
  const encoder = new HpackEncoder();
  encoder.literal(PUSHBACK_TRAILER, '');
  return encoder.end().subarray(0, -1);
})();

/**
 * Encodes a "Status-Message": UTF-8 with everything escaped except printable ASCII; the percent sign is escaped, and so are
 * spaces at either end, which no field may have (RFC 9113, section 8.2.1).
 */
function percentEncode(text: string): string {
  return text.replace(/[^ -$&-~]+|^ | $/gu, (part) => encodeURIComponent(part));
}
