/** A server as a load generator sees it. */

import type { Datatype, Shape } from '../wire/tensor.ts';

/** An input of a request in raw form, little-endian. */
export interface NamedTensor {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: Shape;
  readonly data: Uint8Array;
}

/** End of a call: `OK`, or a gRPC status such as `RESOURCE_EXHAUSTED`, or over REST `HTTP 429`. */
export interface CallOutcome {
  readonly status: string;
  /** Text of the server; empty with `OK`. */
  readonly details: string;
}

/** Sends an encoded request with a deadline in milliseconds. Never rejects. */
export type PreparedCall = (deadlineMs: number) => Promise<CallOutcome>;

export interface CallTarget extends Disposable {
  /** Encodes a request once, so that a measured call costs the client little. */
  prepare(inputs: readonly NamedTensor[]): PreparedCall;
}

export interface TargetModel {
  readonly name: string;
  /** `''` leaves the choice to the server. */
  readonly version: string;
}

/** Contents of PEM files. */
export interface TargetTls {
  readonly ca?: Buffer | undefined;
  readonly cert?: Buffer | undefined;
  readonly key?: Buffer | undefined;
}

export interface TargetAddress {
  readonly host: string;
  readonly port: number;
  /** As gRPC takes it: `host:port`, an IPv6 address in brackets. */
  readonly target: string;
  /** `undefined`: cleartext. */
  readonly tls: TargetTls | undefined;
  /** Sent with each call. */
  readonly headers: Readonly<Record<string, string>>;
}
