/** The closed set of ways in which a call can fail. `docs/errors.md` explains each; a test holds the two together. */

/** The gRPC status codes, by number (grpc/grpc: doc/statuscodes.md). */
export const Status = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  UNAUTHENTICATED: 16,
} as const;

export type StatusName = keyof typeof Status;
export type StatusCode = (typeof Status)[StatusName];

/**
 * Each reason for which a call fails, and its status. A user's mistake is never INTERNAL; UNAVAILABLE means only
 * "another replica can serve this"; overload is RESOURCE_EXHAUSTED, because meshes retry UNAVAILABLE by default.
 */
export const REASONS = {
  /** The bytes are not a well-formed message of the expected type. */
  malformed_message: 'INTERNAL',
  /** A count, length or byte limit was passed, in or out. Never retried. */
  limit_exceeded: 'RESOURCE_EXHAUSTED',
  /** A well-formed request that does not fit the model: names, datatypes, shapes, contents, parameters. */
  invalid_request: 'INVALID_ARGUMENT',
  /** The model refused the values of this request (an index out of range, say). */
  invalid_data: 'INVALID_ARGUMENT',
  /** The code of the model threw, or its outputs are not those that it declares. */
  model_failed: 'INTERNAL',
  /** No such model, or no such version of it. */
  model_not_found: 'NOT_FOUND',
  /** No such shared-memory region: none can be registered. */
  region_not_found: 'NOT_FOUND',
  /** The model exists but is loading, failed to load, or is being unloaded. */
  model_not_ready: 'UNAVAILABLE',
  /** The model's new version does not load; the one before serves on, if there was one. */
  load_failed: 'INVALID_ARGUMENT',
  /** The settings of the server do not allow this: models are not loaded by clients, or their files are not taken from them. */
  control_disabled: 'FAILED_PRECONDITION',
  /** The model cannot be rolled out, or not now: another rollout runs, or nothing that this one could do makes sense. */
  rollout_refused: 'FAILED_PRECONDITION',
  /** The server drains: it answers what it accepted and takes nothing new. */
  draining: 'UNAVAILABLE',
  /** The model's circuit breaker is open after crashes, time-outs or internal errors. */
  breaker_open: 'UNAVAILABLE',
  /** The model's runner died, and the next cannot be there before the request's deadline. */
  runner_lost: 'UNAVAILABLE',
  /** Two runners died or hung while running this request by itself. */
  runner_killed_twice: 'INTERNAL',
  /** The model's queue, or one of the server's byte budgets (of requests, of models), is full. */
  queue_full: 'RESOURCE_EXHAUSTED',
  /** The tenant has had its share of requests for now, or the connection resets more calls than it may. */
  rate_limited: 'RESOURCE_EXHAUSTED',
  /** The predicted wait is too long for the time that is left. */
  cannot_meet_deadline: 'RESOURCE_EXHAUSTED',
  /** The time that is left is shorter than the fastest run that was ever seen: no server could answer. */
  deadline_too_short: 'RESOURCE_EXHAUSTED',
  /** The caller named no deadline, and the predicted wait is too long for the model's objective. */
  overloaded: 'RESOURCE_EXHAUSTED',
  /** The deadline passed while the request was in our hands; it was not run after that. */
  deadline_exceeded: 'DEADLINE_EXCEEDED',
  /** Who calls is not among those who may. */
  permission_denied: 'PERMISSION_DENIED',
  /** The caller went away. */
  cancelled: 'CANCELLED',
  /** The RPC, or this use of it, is not offered. */
  unimplemented: 'UNIMPLEMENTED',
  /** A fault of ours; the cause is in the log, never in the answer. */
  internal: 'INTERNAL',
} as const satisfies Record<string, StatusName>;

export type Reason = keyof typeof REASONS;

/** How long a refused caller should wait before it tries again, for the trailer `grpc-retry-pushback-ms`; `never` forbids it. */
export type Pushback = number | 'never';

/** The shortest pushback of a refusal whose cause has no known end. */
const MIN_PUSHBACK_MS = 10;

/**
 * Adds up to a quarter to a wait, so that callers that were refused together do not return together.
 * @param leastMs 0 where the wait is exact rather than predicted.
 */
export function withJitter(ms: number, leastMs = MIN_PUSHBACK_MS): number {
  return Math.ceil(Math.max(leastMs, ms) * (1 + Math.random() / 4));
}

/** An Error without the constructor of Error, which takes longer than a refusal may, even where it captures no stack. */
interface Untraced extends Error {}
const Untraced = class {} as new () => Untraced;
Object.setPrototypeOf(Untraced.prototype, Error.prototype);

/**
 * The one error of the gateway. `message` is for the caller: what happened, where, got against wanted, what to do. Any other
 * error becomes `internal`, and its cause goes to the log. It has no stack, because the reason already says where it comes from.
 */
export class InferError extends Untraced {
  override readonly name = 'InferError';
  override readonly message: string;
  override readonly cause: unknown;
  readonly reason: Reason;
  readonly pushback: Pushback | undefined;
  /** The field of the request that is rejected, such as `inputs['x'].shape`. */
  readonly field: string | undefined;

  constructor(
    reason: Reason,
    message: string,
    options: { cause?: unknown; pushback?: Pushback; field?: string | undefined } = {},
  ) {
    super();
    this.message = message;
    this.cause = options.cause;
    this.reason = reason;
    this.pushback = options.pushback;
    this.field = options.field;
  }

  get status(): StatusCode {
    return Status[REASONS[this.reason]];
  }

  /** The error itself, or `internal` with `thrown` as its cause. */
  static from(thrown: unknown): InferError {
    return thrown instanceof InferError ? thrown : new InferError('internal', 'internal error', { cause: thrown });
  }
}

const MAX_TEXT = 1024;
// biome-ignore lint/suspicious/noControlCharactersInRegex: removing them is the point
const CONTROL_CHARACTERS = /[\u0000-\u001f\u007f]+/g;

/** A loop, as nearly all texts are, and an expression takes five times as long. */
function isPrintableAscii(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code < 0x20 || code > 0x7e) return false;
  }
  return true;
}

/** Under overload one text comes again and again. */
let lastPrintable = '';

/** The only way a text reaches a status: at most 1 KiB, well-formed Unicode, no control characters. */
export function boundedText(text: string): string {
  if (text === lastPrintable) return text;
  if (text.length <= MAX_TEXT && isPrintableAscii(text)) {
    lastPrintable = text;
    return text;
  }
  const cut = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT - 1)}…` : text;
  return cut.toWellFormed().replace(CONTROL_CHARACTERS, ' ');
}
