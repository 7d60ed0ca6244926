/**
 * Rich errors of gRPC: a `google.rpc.Status` with ErrorInfo, RetryInfo and BadRequest, the value of `grpc-status-details-bin`.
 * Field numbers follow google/rpc/status.proto and google/rpc/error_details.proto.
 */

import { ProtobufReader } from './protobuf-reader.ts';
import { ProtobufWriter } from './protobuf-writer.ts';
import { WireType } from './wire-type.ts';

/** A field of a request that is rejected, such as `inputs.image.shape`, and why. */
export interface FieldViolation {
  readonly field: string;
  readonly description: string;
}

export interface ErrorDetails {
  /** `ErrorInfo.reason`. */
  readonly reason: string | undefined;
  /** `RetryInfo.retry_delay`, in milliseconds. */
  readonly retryDelayMs: number | undefined;
  /** `BadRequest.field_violations`. */
  readonly fieldViolations: readonly FieldViolation[];
}

/** The status of a failed call and its details. */
export interface RichStatus extends Partial<ErrorDetails> {
  readonly code: number;
  readonly message: string;
  /** `ErrorInfo.domain`: who defines the reason. */
  readonly domain: string;
  /** `ErrorInfo.metadata`, such as the model. */
  readonly metadata?: Readonly<Record<string, string>>;
}

const TYPE = 'type.googleapis.com/google.rpc.';
const TEXTS = new TextDecoder();

/** Encodes a `google.rpc.Status`. */
export function encodeRichStatus(status: RichStatus): Uint8Array {
  const { code, message, reason, domain, metadata = {}, retryDelayMs, fieldViolations = [] } = status;
  const writer = new ProtobufWriter();
  writer.bigint(1, BigInt(code));
  writer.textUnlessEmpty(2, message);
  if (reason !== undefined) {
    writeDetail(writer, 'ErrorInfo', () => {
      writer.text(1, reason);
      writer.text(2, domain);
      for (const [key, value] of Object.entries(metadata)) {
        const entry = writer.begin(3);
        writer.text(1, key);
        writer.text(2, value);
        writer.end(entry);
      }
    });
  }
  if (retryDelayMs !== undefined) {
    writeDetail(writer, 'RetryInfo', () => {
      const delay = writer.begin(1);
      const seconds = Math.floor(retryDelayMs / 1_000);
      const nanos = Math.round((retryDelayMs - seconds * 1_000) * 1e6);
      if (seconds > 0) writer.bigint(1, BigInt(seconds));
      if (nanos > 0) writer.bigint(2, BigInt(nanos));
      writer.end(delay);
    });
  }
  if (fieldViolations.length > 0) {
    writeDetail(writer, 'BadRequest', () => {
      for (const { field, description } of fieldViolations) {
        const violation = writer.begin(1);
        writer.text(1, field);
        writer.text(2, description);
        writer.end(violation);
      }
    });
  }
  return Buffer.concat(writer.finish());
}

/** Writes a `google.protobuf.Any` to the field `details`. */
function writeDetail(writer: ProtobufWriter, type: string, writeValue: () => void): void {
  const any = writer.begin(3);
  writer.text(1, `${TYPE}${type}`);
  const value = writer.begin(2);
  writeValue();
  writer.end(value);
  writer.end(any);
}

/**
 * Decodes the details of a `google.rpc.Status` that it knows; details of other types are skipped.
 * @throws WireError where the bytes are no such message
 */
export function decodeErrorDetails(bytes: Uint8Array): ErrorDetails {
  let details: ErrorDetails = { reason: undefined, retryDelayMs: undefined, fieldViolations: [] };
  const reader = new ProtobufReader(bytes);
  for (let number = reader.next(); number !== 0; number = reader.next()) {
    if (number === 3) details = { ...details, ...decodeDetail(reader.bytes('details')) };
    else reader.skip();
  }
  return details;
}

function decodeDetail(any: Uint8Array): Partial<ErrorDetails> {
  const fields = readFields(any);
  const value = fields.bytes(2);
  switch (fields.text(1)) {
    case `${TYPE}ErrorInfo`:
      return { reason: readFields(value).text(1) };
    case `${TYPE}RetryInfo`: {
      const delay = readFields(readFields(value).bytes(1));
      return { retryDelayMs: delay.number(1) * 1_000 + delay.number(2) / 1e6 };
    }
    case `${TYPE}BadRequest`:
      return {
        fieldViolations: readFields(value)
          .all(1)
          .map((violation) => {
            const { text } = readFields(violation);
            return { field: text(1), description: text(2) };
          }),
      };
    default:
      return {};
  }
}

interface Fields {
  all(number: number): readonly Uint8Array[];
  bytes(number: number): Uint8Array;
  text(number: number): string;
  number(number: number): number;
}

/** The varint and length-delimited fields of a small message. */
function readFields(message: Uint8Array): Fields {
  const reader = new ProtobufReader(message);
  const lists = new Map<number, Uint8Array[]>();
  const numbers = new Map<number, number>();
  for (let number = reader.next(); number !== 0; number = reader.next()) {
    if (reader.wireType === WireType.VARINT) numbers.set(number, Number(reader.int64('a field')));
    else if (reader.wireType === WireType.LENGTH_DELIMITED) {
      lists.set(number, [...(lists.get(number) ?? []), reader.bytes('a field')]);
    } else reader.skip();
  }
  const bytes = (number: number): Uint8Array => lists.get(number)?.at(-1) ?? new Uint8Array();
  return {
    all: (number) => lists.get(number) ?? [],
    bytes,
    text: (number) => TEXTS.decode(bytes(number)),
    number: (number) => numbers.get(number) ?? 0,
  };
}
