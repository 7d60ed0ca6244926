/** Parts of records that both threads write and read: how a call ends, its trailers, its metadata. */

import { InferError, type Pushback, type Reason, type StatusCode } from '../../errors.ts';
import type { CancelReason, Trailers } from '../call.ts';
import type { CallEnd } from '../call-events.ts';
import type { ParcelReader, ParcelWriter } from './parcel.ts';

/** From an acceptor to the owner. */
export const RequestRecord = {
  /** A call with its only message, or a stream that begins. */
  CALL: 1,
  /** The head of a unary call whose message is still to come. */
  HEAD: 2,
  MESSAGE: 3,
  /** The client sends no more messages. */
  HALF_CLOSE: 4,
  /** The call has ended in the acceptor. */
  ENDED: 5,
  /** The transport has taken bytes that were written to a stream. */
  TAKEN: 6,
  /** The files of the acceptor are as empty as they can be. */
  EMPTIED: 7,
} as const;

/** From the owner to an acceptor. */
export const AnswerRecord = {
  REPLY: 1,
  FAIL: 2,
  WRITE: 3,
  END: 4,
  /** The handler has received bytes of a stream. */
  DELIVERED: 5,
  /** A tensor that was handed over, by its number. */
  RELEASED: 6,
  /** Batches need the room that files of the acceptor take. */
  EMPTY: 7,
} as const;

const NO_PUSHBACK = -2;
const NEVER = -1;

/** How a call ended with a status other than OK. */
export interface FailedEnd {
  readonly code: StatusCode;
  readonly text: string;
  readonly failure: InferError | undefined;
}

export function writeFailure(to: ParcelWriter, { code, text = '', failure }: CallEnd): void {
  to.byte(code);
  to.text(text);
  to.text(failure?.reason ?? '');
  if (failure === undefined) return;
  const { pushback = NO_PUSHBACK, cause, field = '' } = failure;
  to.double(pushback === 'never' ? NEVER : pushback);
  to.text(field);
  // The error may have been made from what cannot leave its thread.
  to.text(cause === undefined ? '' : String(cause instanceof Error ? (cause.stack ?? cause) : cause));
}

export function readFailure(from: ParcelReader): FailedEnd {
  const code = from.byte() as StatusCode;
  const text = from.text();
  const reason = from.text() as Reason | '';
  if (reason === '') return { code, text, failure: undefined };
  const wait = from.double();
  const pushback: Pushback | undefined = wait === NO_PUSHBACK ? undefined : wait === NEVER ? 'never' : wait;
  const field = from.text();
  const cause = from.text();
  const failure = new InferError(reason, text, {
    ...(pushback !== undefined && { pushback }),
    ...(field !== '' && { field }),
    ...(cause !== '' && { cause }),
  });
  return { code, text, failure };
}

const CANCEL_REASONS: readonly (CancelReason | undefined)[] = [undefined, 'client', 'deadline', 'connection'];

export function writeCancelReason(to: ParcelWriter, reason: CancelReason | undefined): void {
  to.byte(CANCEL_REASONS.indexOf(reason));
}

export function readCancelReason(from: ParcelReader): CancelReason | undefined {
  return CANCEL_REASONS[from.byte()];
}

const TEXT = 0;
const BYTES = 1;

export function writeTrailers(to: ParcelWriter, trailers: Trailers | undefined): void {
  const entries = trailers === undefined ? [] : Object.entries(trailers);
  to.byte(trailers === undefined ? 0 : 1);
  if (trailers === undefined) return;
  to.uint32(entries.length);
  for (const [name, value] of entries) {
    to.text(name);
    to.byte(typeof value === 'string' ? TEXT : BYTES);
    if (typeof value === 'string') to.text(value);
    else to.bytes(value);
  }
}

export function readTrailers(from: ParcelReader): Trailers | undefined {
  if (from.byte() === 0) return undefined;
  const count = from.uint32();
  return Object.fromEntries(
    Array.from({ length: count }, () => {
      const name = from.text();
      return [name, from.byte() === TEXT ? from.text() : new Uint8Array(from.bytes())] as const;
    }),
  );
}

/** The first value of each key, as it came: names and values are Latin-1, and no name has a line break. */
export function metadataBlock(keys: Iterable<string>, fieldOf: (key: string) => string | undefined): Buffer {
  const lines: string[] = [];
  for (const key of keys) lines.push(key, fieldOf(key) ?? '');
  return Buffer.from(lines.join('\n'), 'latin1');
}

/** Field values have no line breaks either (RFC 9113, section 8.2.1). */
export function metadataOf(block: Buffer): Map<string, string> {
  const fields = new Map<string, string>();
  if (block.length === 0) return fields;
  const lines = block.toString('latin1').split('\n');
  for (let at = 0; at < lines.length; at += 2) fields.set(lines[at] ?? '', lines[at + 1] ?? '');
  return fields;
}
