/** SETTINGS: what we announce, and what the peer does (RFC 9113, section 6.5). */

import { ConnectionError, ErrorCode, frameSizeError, protocolError } from './error-code.ts';
import { INITIAL_WINDOW_BYTES, MAX_MAX_FRAME_BYTES, MAX_WINDOW_BYTES, MIN_MAX_FRAME_BYTES } from './frame.ts';
import { DEFAULT_TABLE_BYTES } from './hpack-table.ts';

/** RFC 9113, section 6.5.2. */
const Setting = {
  HEADER_TABLE_SIZE: 1,
  ENABLE_PUSH: 2,
  MAX_CONCURRENT_STREAMS: 3,
  INITIAL_WINDOW_SIZE: 4,
  MAX_FRAME_SIZE: 5,
  MAX_HEADER_LIST_SIZE: 6,
} as const;

const ENTRY_BYTES = 6;

/** The payload of our SETTINGS frame; other settings keep the defaults of RFC 9113. */
export function ourSettings(limits: {
  readonly maxConcurrentStreams: number;
  readonly streamWindowBytes: number;
  readonly maxHeaderListBytes: number;
}): Buffer {
  const entries = [
    [Setting.MAX_CONCURRENT_STREAMS, limits.maxConcurrentStreams],
    [Setting.INITIAL_WINDOW_SIZE, limits.streamWindowBytes],
    [Setting.MAX_HEADER_LIST_SIZE, limits.maxHeaderListBytes],
  ] as const;
  const payload = Buffer.alloc(entries.length * ENTRY_BYTES);
  for (const [index, [setting, value]] of entries.entries()) {
    payload.writeUInt16BE(setting, index * ENTRY_BYTES);
    payload.writeUInt32BE(value, index * ENTRY_BYTES + 2);
  }
  return payload;
}

export class PeerSettings {
  headerTableBytes = DEFAULT_TABLE_BYTES;
  initialWindowBytes = INITIAL_WINDOW_BYTES;
  maxFrameBytes = MIN_MAX_FRAME_BYTES;
  maxHeaderListBytes = Number.POSITIVE_INFINITY;

  /**
   * Takes the payload of a SETTINGS frame.
   * @returns how many entries it has
   * @throws ConnectionError
   */
  apply(payload: Buffer): number {
    if (payload.length % ENTRY_BYTES !== 0) throw frameSizeError('SETTINGS of the wrong size');
    for (let at = 0; at < payload.length; at += ENTRY_BYTES) {
      this.#take(payload.readUInt16BE(at), payload.readUInt32BE(at + 2));
    }
    return payload.length / ENTRY_BYTES;
  }

  #take(setting: number, value: number): void {
    switch (setting) {
      case Setting.HEADER_TABLE_SIZE:
        this.headerTableBytes = value;
        return;
      case Setting.ENABLE_PUSH:
        if (value > 1) throw protocolError(`ENABLE_PUSH is ${value}`);
        return;
      case Setting.INITIAL_WINDOW_SIZE:
        if (value > MAX_WINDOW_BYTES) {
          throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, `INITIAL_WINDOW_SIZE is ${value}`);
        }
        this.initialWindowBytes = value;
        return;
      case Setting.MAX_FRAME_SIZE:
        if (value < MIN_MAX_FRAME_BYTES || value > MAX_MAX_FRAME_BYTES) {
          throw protocolError(`MAX_FRAME_SIZE is ${value}`);
        }
        this.maxFrameBytes = value;
        return;
      case Setting.MAX_HEADER_LIST_SIZE:
        this.maxHeaderListBytes = value;
        return;
      default:
        // MAX_CONCURRENT_STREAMS is about pushes; an unknown one is to be ignored.
        return;
    }
  }
}
