/** What one message may hold. Each limit is checked before anything is allocated for what it counts. */
export interface WireLimits {
  /** Entries of `inputs`; and, apart from them, of `raw_input_contents`. */
  readonly maxInputs: number;
  /** Entries of `outputs`; and, apart from them, of `raw_output_contents`. */
  readonly maxOutputs: number;
  /** Axes of one shape. */
  readonly maxRank: number;
  /** Parameters of the whole message: its own, and those of its inputs and outputs. */
  readonly maxParameters: number;
  /** Bytes of all these parameters, keys and values as they are on the wire. */
  readonly maxParameterBytes: number;
  /** UTF-8 bytes of one name: of a model, its version, a tensor, a datatype. */
  readonly maxNameBytes: number;
  /** UTF-8 bytes of the request id. */
  readonly maxIdBytes: number;
}

export const DEFAULT_WIRE_LIMITS: WireLimits = Object.freeze({
  maxInputs: 64,
  maxOutputs: 64,
  maxRank: 16,
  maxParameters: 64,
  maxParameterBytes: 4096,
  maxNameBytes: 128,
  maxIdBytes: 1024,
});

/**
 * Bytes that are refused: `malformed` when they are no message of the expected type, `limit` when they are one that holds
 * more than `WireLimits` allow. The text says what, at which byte, and what was allowed; it quotes nothing of the message.
 */
export class WireError extends Error {
  readonly kind: 'malformed' | 'limit';

  constructor(kind: 'malformed' | 'limit', message: string) {
    super(message);
    this.name = 'WireError';
    this.kind = kind;
  }
}

/** Refuses one more entry of the repeated `field` when it is full. */
export function checkRoom(entries: readonly unknown[], max: number, field: string): void {
  if (entries.length === max) throw new WireError('limit', `more than ${max} ${field}`);
}
