/**
 * The frames of a call channel: what the code of a model asks of the gateway while it runs, and the replies.
 *
 * A frame is a header of four 32-bit numbers, in the byte order of the machine, and a payload:
 *
 *   kind         of `CALL_FRAME`
 *   id           of the call, which the thread counts
 *   run          the number of the run, which both ends count
 *   length       bytes of the payload
 *
 * CALLFRAME-1: whatever bytes come, reading them gives frames or throws, in memory of at most one payload of `maxBytes`.
 */

export const CALL_FRAME = {
  /** From the thread: milliseconds that the call may take, as a double, and an encoded ModelInferRequest. */
  call: 1,
  /** From the thread: no one waits for the answer of the call. */
  cancel: 2,
  /** To the thread: an encoded ModelInferResponse. */
  answer: 3,
  /** To the thread: why a call failed, as the JSON of a `CallFailure`. */
  failure: 4,
  /** To the thread: no caller waits for the run. */
  abort: 5,
  /** From the thread: an answer of a decoupled model, as an encoded ModelInferResponse. The reply is an empty answer, or a failure. */
  send: 6,
} as const;

export type CallFrameKind = (typeof CALL_FRAME)[keyof typeof CALL_FRAME];

export interface CallFrame {
  readonly kind: CallFrameKind;
  readonly id: number;
  readonly run: number;
  /** In memory of its own. */
  readonly payload: Uint8Array<ArrayBuffer>;
}

export interface CallFailure {
  readonly reason: string;
  /** The name of the gRPC status. */
  readonly status: string;
  readonly message: string;
}

/** The fields around a model's tensors are small: so much of a payload is always accepted. */
export const CALL_HEAD_BYTES = 64 * 1024;

const HEADER_BYTES = 16;
const KINDS: ReadonlySet<number> = new Set(Object.values(CALL_FRAME));

/** The header and the payload, which is not copied. */
export function encodeCallFrame(
  { kind, id, run }: Omit<CallFrame, 'payload'>,
  payload: readonly Uint8Array[],
): Uint8Array[] {
  const length = payload.reduce((sum, { byteLength }) => sum + byteLength, 0);
  return [new Uint8Array(new Uint32Array([kind, id, run, length]).buffer), ...payload];
}

/** Puts frames together from the pieces of a stream. */
export class CallFrameReader {
  readonly #maxBytes: number;
  readonly #header = new Uint8Array(HEADER_BYTES);
  #headerBytes = 0;
  #frame: CallFrame | undefined;
  #payloadBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** @returns the frames that `piece` completes. @throws Error where the bytes are no frame */
  push(piece: Uint8Array): CallFrame[] {
    const frames: CallFrame[] = [];
    for (let at = 0; at < piece.byteLength; ) {
      at += this.#frame === undefined ? this.#takeHeader(piece.subarray(at)) : this.#takePayload(piece.subarray(at));
      const frame = this.#frame;
      if (frame === undefined || this.#payloadBytes < frame.payload.byteLength) continue;
      frames.push(frame);
      this.#frame = undefined;
    }
    return frames;
  }

  /** @returns how many bytes it took */
  #takeHeader(bytes: Uint8Array): number {
    const taken = bytes.subarray(0, HEADER_BYTES - this.#headerBytes);
    this.#header.set(taken, this.#headerBytes);
    this.#headerBytes += taken.byteLength;
    if (this.#headerBytes < HEADER_BYTES) return taken.byteLength;
    this.#headerBytes = 0;
    const [kind = 0, id = 0, run = 0, length = 0] = new Uint32Array(this.#header.buffer);
    if (!isKind(kind)) throw new Error(`a call frame of the kind ${kind}`);
    if (length > this.#maxBytes) throw new Error(`a call frame of ${length} bytes, expected at most ${this.#maxBytes}`);
    this.#frame = { kind, id, run, payload: new Uint8Array(length) };
    this.#payloadBytes = 0;
    return taken.byteLength;
  }

  #takePayload(bytes: Uint8Array): number {
    const payload = this.#frame?.payload ?? new Uint8Array();
    const taken = bytes.subarray(0, payload.byteLength - this.#payloadBytes);
    payload.set(taken, this.#payloadBytes);
    this.#payloadBytes += taken.byteLength;
    return taken.byteLength;
  }
}

function isKind(kind: number): kind is CallFrameKind {
  return KINDS.has(kind);
}
