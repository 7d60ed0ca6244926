/** Header fields of a failed call, encoded: the same for every connection, because no table takes them. */

import { HpackEncoder } from '../../../http2/hpack-encoder.ts';
import type { Reason, StatusCode } from '../../errors.ts';
import { DETAILS_TRAILER, type DetailedError, encodeErrorDetails, retryStep } from '../error-details.ts';
import { PUSHBACK_TRAILER } from '../failure.ts';

export interface StatusBlock {
  readonly bytes: Uint8Array;
  /** Size of the names and values without `grpc-status`, counted as in RFC 9113, section 6.5.2. */
  readonly listBytes: number;
}

/** Blocks that are kept at a time: an overload refuses with few texts and waits, because their numbers are rounded. */
const MAX_BLOCKS = 256;

const blocks = new Map<Reason | StatusCode, Map<number, Map<string, StatusBlock>>>();
let kept = 0;

/** `grpc-status` and, unless `text` is empty, `grpc-message`. */
export function statusBlock(code: StatusCode, text: string): StatusBlock {
  return blockOf(code, 0, text) ?? keep(code, 0, text, makeBlock(code, text, undefined));
}

/** The fields of `statusBlock`, and `grpc-status-details-bin`. */
export function detailedBlock(error: DetailedError, text: string): StatusBlock {
  const { reason, status, field } = error;
  // Callers invent fields, and the text names them: such a block would not be found again.
  if (field !== undefined) return makeBlock(status, text, error);
  const step = retryStep(error.pushback);
  return blockOf(reason, step, text) ?? keep(reason, step, text, makeBlock(status, text, error));
}

function blockOf(key: Reason | StatusCode, step: number, text: string): StatusBlock | undefined {
  return blocks.get(key)?.get(step)?.get(text);
}

function keep(key: Reason | StatusCode, step: number, text: string, block: StatusBlock): StatusBlock {
  if (kept >= MAX_BLOCKS) {
    blocks.clear();
    kept = 0;
  }
  kept += 1;
  const ofKey = blocks.get(key) ?? new Map<number, Map<string, StatusBlock>>();
  const ofStep = ofKey.get(step) ?? new Map<string, StatusBlock>();
  blocks.set(key, ofKey.set(step, ofStep.set(text, block)));
  return block;
}

function makeBlock(code: StatusCode, text: string, error: DetailedError | undefined): StatusBlock {
  const encoder = new HpackEncoder();
  encoder.literal('grpc-status', String(code));
  let listBytes = 0;
  const write = (name: string, value: string): void => {
    encoder.literal(name, value);
    listBytes += fieldBytes(name, value);
  };
  if (text !== '') write('grpc-message', percentEncode(text));
  // "Binary-Header": Base64 without padding.
  if (error !== undefined) {
    write(DETAILS_TRAILER, Buffer.from(encodeErrorDetails(error, text)).toString('base64').replace(/=+$/, ''));
  }
  return { bytes: encoder.end(), listBytes };
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
