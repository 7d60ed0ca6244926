/** The orders of a client pod, and its reports. */

/** Calls of one RPC on one connection. */
export interface Calls {
  /** `host:port`. */
  readonly target: string;
  /** Instead of the target, where a proxy has to find the service by its name. */
  readonly authority?: string;
  /** PEM. With it, the connection is TLS to a server whose certificate it has signed. */
  readonly rootCertificate?: string;
  /** Such as `/inference.GRPCInferenceService/ModelInfer`. */
  readonly path: string;
  /** The request message, in base64. */
  readonly message: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly count: number;
  /** Most calls that are open at a time. */
  readonly parallel: number;
  /** Starts of calls, however long the calls before take; without it the next starts when one ends. */
  readonly perSecond?: number;
  /** Time of a call; without it, it is sent without a deadline. */
  readonly deadlineMs?: number;
}

export interface Outcome {
  /** How many calls ended with each status, by its number. */
  readonly statuses: Readonly<Record<string, number>>;
  /** The texts of those that failed, with how many. */
  readonly texts: Readonly<Record<string, number>>;
  /** How many answers each version of the model gave. */
  readonly versions: Readonly<Record<string, number>>;
  /** Milliseconds of each call, in the order in which they ended. */
  readonly times: readonly number[];
  readonly durationMs: number;
}

/** Where a client pod listens, below its volume `control`. */
export const SOCKET = 'socket';
export const CONTROL_FOLDER = '/run/control';
