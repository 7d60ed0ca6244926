/**
 * Splits bytes into frames. The payload of DATA is passed on piece by piece, as it arrives; every other frame is passed on whole:
 * as a part of the chunk if it lies in one, otherwise from a buffer of its size. Usually nothing is copied.
 */

import { frameSizeError, protocolError } from './error-code.ts';
import { FRAME_HEADER_BYTES, FrameType, MIN_MAX_FRAME_BYTES, PREFACE, readUint31 } from './frame.ts';

/** Takes the DATA frames that a reader finds. What it throws ends the reading. */
export interface DataSink {
  /** @param length of the payload, padding and all */
  dataStart(flags: number, id: number, length: number): void;
  data(chunk: Buffer, from: number, to: number): void;
  dataEnd(): void;
}

/** Takes the other frames. What it throws ends the reading. */
export interface FrameSink {
  /** A frame other than DATA, whose payload is `chunk[from, to)`: most are HEADERS, which need no view of it. */
  frame(type: number, flags: number, id: number, chunk: Buffer, from: number, to: number): void;
}

export class FrameReader {
  readonly #dataSink: DataSink;
  readonly #sink: FrameSink;
  #prefaceGot = 0;
  /** A frame header that the end of a chunk cut. */
  readonly #header = Buffer.allocUnsafeSlow(FRAME_HEADER_BYTES);
  #headerGot = 0;
  #dataLeft = 0;
  /** The payload of another frame that the end of a chunk cut. */
  #payload: Buffer | undefined;
  #payloadGot = 0;
  #type = 0;
  #flags = 0;
  #id = 0;
  /** Frames, or their headers, that the end of a chunk cut. */
  #cuts = 0;

  constructor(dataSink: DataSink, sink: FrameSink) {
    this.#dataSink = dataSink;
    this.#sink = sink;
  }

  /** True once the client's preface has come whole. */
  get hasPreface(): boolean {
    return this.#prefaceGot === PREFACE.length;
  }

  /** Number of the incomplete frame header, or frame other than DATA, that has begun. 0: there is none. */
  get unfinished(): number {
    return this.#headerGot > 0 || this.#payload !== undefined ? this.#cuts : 0;
  }

  /** @throws ConnectionError */
  push(chunk: Buffer): void {
    let at = this.hasPreface ? 0 : this.#preface(chunk);
    while (at < chunk.length) {
      if (this.#dataLeft > 0) at = this.#data(chunk, at);
      else if (this.#payload !== undefined) at = this.#rest(chunk, at, this.#payload);
      else at = this.#frame(chunk, at);
    }
  }

  /** RFC 9113, section 3.4. */
  #preface(chunk: Buffer): number {
    let at = 0;
    while (at < chunk.length && this.#prefaceGot < PREFACE.length) {
      if (chunk[at++] !== PREFACE[this.#prefaceGot++]) throw protocolError('this is not HTTP/2');
    }
    return at;
  }

  #data(chunk: Buffer, from: number): number {
    const to = Math.min(chunk.length, from + this.#dataLeft);
    this.#dataLeft -= to - from;
    this.#dataSink.data(chunk, from, to);
    if (this.#dataLeft === 0) this.#dataSink.dataEnd();
    return to;
  }

  #rest(chunk: Buffer, from: number, payload: Buffer): number {
    const to = Math.min(chunk.length, from + payload.length - this.#payloadGot);
    this.#payloadGot += chunk.copy(payload, this.#payloadGot, from, to);
    if (this.#payloadGot === payload.length) {
      this.#payload = undefined;
      this.#sink.frame(this.#type, this.#flags, this.#id, payload, 0, payload.length);
    }
    return to;
  }

  #frame(chunk: Buffer, at: number): number {
    if (this.#headerGot === 0 && chunk.length - at >= FRAME_HEADER_BYTES) {
      return this.#start(chunk, at, chunk, at + FRAME_HEADER_BYTES);
    }
    if (this.#headerGot === 0) this.#cuts++;
    const to = Math.min(chunk.length, at + FRAME_HEADER_BYTES - this.#headerGot);
    this.#headerGot += chunk.copy(this.#header, this.#headerGot, at, to);
    if (this.#headerGot < FRAME_HEADER_BYTES) return to;
    this.#headerGot = 0;
    return this.#start(this.#header, 0, chunk, to);
  }

  /** Begins a frame whose header is at `header[at]` (RFC 9113, section 4.1) and whose payload begins at `chunk[from]`. */
  #start(header: Buffer, at: number, chunk: Buffer, from: number): number {
    const length = ((header[at] ?? 0) << 16) | ((header[at + 1] ?? 0) << 8) | (header[at + 2] ?? 0);
    const type = header[at + 3] ?? 0;
    const flags = header[at + 4] ?? 0;
    const id = readUint31(header, at + 5);
    if (length > MIN_MAX_FRAME_BYTES) throw frameSizeError(`a frame of ${length} bytes`);
    if (type === FrameType.DATA) {
      this.#dataSink.dataStart(flags, id, length);
      this.#dataLeft = length;
      if (length === 0) this.#dataSink.dataEnd();
      return from;
    }
    if (chunk.length - from >= length) {
      this.#sink.frame(type, flags, id, chunk, from, from + length);
      return from + length;
    }
    this.#type = type;
    this.#flags = flags;
    this.#id = id;
    this.#payload = Buffer.allocUnsafe(length);
    this.#payloadGot = 0;
    this.#cuts++;
    return from;
  }
}
