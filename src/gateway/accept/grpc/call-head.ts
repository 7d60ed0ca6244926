/** The head of a gRPC request (grpc/grpc: doc/PROTOCOL-HTTP2.md, "Requests"). */

import { fieldKinds, type HeaderField } from '../../../http2/header-field.ts';
import type { HeadMaker } from '../../../http2/protocol.ts';
import { RequestHead } from '../../../http2/request-head.ts';
import { parseTimeoutMs } from '../timeout-header.ts';

export class CallHead extends RequestHead {
  encoding: string | undefined = undefined;
  /** `grpc-timeout`; `Infinity` if absent, `undefined` if malformed. */
  timeoutMs: number | undefined = Number.POSITIVE_INFINITY;
  #hasTimeout = false;

  /** The first value of a metadata key. */
  metadata(name: string): string | Uint8Array | undefined {
    return metadataValue(name, this.get(name));
  }

  protected override own({ name, value }: HeaderField): void {
    if (name === 'grpc-encoding') this.encoding = value;
    if (name !== 'grpc-timeout') return;
    this.timeoutMs = this.#hasTimeout ? undefined : parseTimeoutMs(value);
    this.#hasTimeout = true;
  }
}

/**
 * The value of a metadata key as a handler sees it. A `-bin` key gives bytes: its values are Base64, padded or not, and several may
 * stand in one field with commas between them ("Binary-Header").
 */
export function metadataValue(name: string, field: string | undefined): string | Uint8Array | undefined {
  if (field === undefined || !name.endsWith('-bin')) return field;
  const comma = field.indexOf(',');
  return Buffer.from(comma < 0 ? field : field.slice(0, comma), 'base64');
}

export const CALL_HEADS: HeadMaker = {
  fieldKinds: fieldKinds(['grpc-timeout', 'grpc-encoding', 'grpc-accept-encoding']),
  requestHead: (maxListBytes) => new CallHead(maxListBytes),
};
