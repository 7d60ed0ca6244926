/** Limits of one message. Each limit is checked before anything is allocated for it. */
export interface WireLimits {
  /** Fields of the whole message, unknown ones included and the elements of typed contents not. */
  readonly maxFields: number;
  /** Entries of `inputs`; and, apart from them, of `raw_input_contents`. */
  readonly maxInputs: number;
  /** Entries of `outputs`; and, apart from them, of `raw_output_contents`. */
  readonly maxOutputs: number;
  /** Axes of one shape. */
  readonly maxRank: number;
  /** Parameters of the whole message, including the parameters of its inputs and outputs. */
  readonly maxParameters: number;
  /** Bytes of all these parameters, keys and values as they are on the wire. */
  readonly maxParameterBytes: number;
  /** UTF-8 bytes of one name: of a model, its version, a tensor, a datatype. */
  readonly maxNameBytes: number;
  /** UTF-8 bytes of the request id. */
  readonly maxIdBytes: number;
}

/** The fields of a message whose reader has another bound. A small integer: the count is in every reader. */
export const UNLIMITED_FIELDS = 2 ** 30;

/** The limits of a server whose models need no more. */
export const DEFAULT_WIRE_LIMITS: WireLimits = Object.freeze({
  maxFields: 16_384,
  maxInputs: 64,
  maxOutputs: 64,
  maxRank: 16,
  maxParameters: 256,
  maxParameterBytes: 64 * 1024,
  maxNameBytes: 1_024,
  maxIdBytes: 4_096,
});

/** Sizes that messages about one model need. */
export interface MessageNeeds {
  readonly inputs: number;
  readonly outputs: number;
  /** Axes of the tensor that has most. */
  readonly rank: number;
  /** UTF-8 bytes of the longest name of a tensor. */
  readonly nameBytes: number;
}

/** The most that a model may need in order to be served: a bound on what one message can cost, whichever models are loaded. */
export const MAX_MESSAGE_NEEDS: MessageNeeds = Object.freeze({
  inputs: 16_384,
  outputs: 16_384,
  rank: 64,
  nameBytes: 16 * 1024,
});

/** Fields of a tensor, its contents and its parameters, in the most wasteful form that peers write, besides its shape. */
const FIELDS_OF_A_TENSOR = 40;
const PARAMETERS_OF_A_TENSOR = 8;
const BYTES_OF_A_PARAMETER = 64;

/** The limits with which every message about a model that needs so much is taken: twice the axes and names, so that a wrong one is named as wrong. */
export function wireLimitsFor(needs: MessageNeeds): WireLimits {
  const { maxFields, maxInputs, maxOutputs, maxRank, maxParameters, maxParameterBytes, maxNameBytes, maxIdBytes } =
    DEFAULT_WIRE_LIMITS;
  const tensors = needs.inputs + needs.outputs;
  return Object.freeze({
    maxFields: maxFields + tensors * (FIELDS_OF_A_TENSOR + needs.rank),
    maxInputs: maxInputs + needs.inputs,
    maxOutputs: maxOutputs + needs.outputs,
    maxRank: Math.max(maxRank, 2 * needs.rank),
    maxParameters: maxParameters + tensors * PARAMETERS_OF_A_TENSOR,
    maxParameterBytes: maxParameterBytes + tensors * PARAMETERS_OF_A_TENSOR * BYTES_OF_A_PARAMETER,
    maxNameBytes: Math.max(maxNameBytes, 2 * needs.nameBytes),
    maxIdBytes,
  });
}

/**
 * Refused bytes: `malformed` if they are no message of the expected type, `limit` if the message holds more than `WireLimits` allow.
 * The text gives the problem, the byte and the limit; it quotes nothing of the message.
 */
export class WireError extends Error {
  readonly kind: 'malformed' | 'limit';

  constructor(kind: 'malformed' | 'limit', message: string) {
    super(message);
    this.name = 'WireError';
    this.kind = kind;
  }
}

/** The error of a message whose encoding breaks at a byte. */
export function malformedAt(at: number, text: string): WireError {
  return new WireError('malformed', `malformed message at byte ${at}: ${text}`);
}

/** Refuses one more entry of the repeated `field` when it is full. */
export function checkRoom(entries: readonly unknown[], max: number, field: string): void {
  if (entries.length === max) throw tooMany(max, field);
}

export function tooMany(max: number, field: string): WireError {
  return new WireError('limit', `more than ${max} ${field}`);
}
