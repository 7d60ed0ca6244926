/** The state of the gateway that gauges show. */

import type { BreakerState, ModelRef, ModelState, Prediction } from './diagnostics.ts';

export interface GatewayState {
  readonly inFlightRequests: number;
  readonly inFlightBytes: number;
  readonly maxInFlightBytes: number;
  readonly models: readonly ModelGauges[];
  /** Sum over all gRPC ports; `undefined` if the transport does not report it. */
  readonly transport?: TransportGauges | undefined;
  /** `undefined` before the port is open. */
  readonly http?: HttpGauges | undefined;
  readonly known: KnownLabels;
}

/** Values of labels that are known before anything was counted: their series begin at zero. */
export interface KnownLabels {
  /** Paths of the methods that the server offers. */
  readonly methods: readonly string[];
  /** Tenants that have a rate. */
  readonly tenants: readonly string[];
}

export interface ModelGauges {
  readonly ref: ModelRef;
  readonly state: ModelState;
  /** Name of its runner; `undefined` where it has none of its own. */
  readonly runner?: string | undefined;
  /** The version that gets copies of its requests. */
  readonly shadow?: string | undefined;
  readonly queuedRequests: number;
  readonly queuedRows: number;
  /** `undefined` where it has no response cache. */
  readonly cacheBytes?: number | undefined;
  /** `undefined` where its requests are not padded. */
  readonly paddingShare?: number | undefined;
  /** Times that batches are predicted to take; empty where nothing is known. */
  readonly predictions?: readonly Prediction[] | undefined;
  readonly isDown: boolean;
  /** Memory of its runner process; an equal part of a shared process. */
  readonly memoryBytes: number;
  readonly breaker: BreakerState;
}

export interface TransportGauges {
  readonly connections: number;
  /** Calls that are open, and requests that are not complete. */
  readonly streams: number;
  /** Bytes of requests that are incomplete or unread. */
  readonly incomingBytes: number;
  /** Bytes of answers that peers have not read. */
  readonly unreadBytes: number;
  /** By number; `undefined` for a port without acceptors of its own. */
  readonly acceptors?: readonly AcceptorGauges[] | undefined;
}

/** A thread that accepts connections; all zero while it is started again. */
export interface AcceptorGauges {
  readonly connections: number;
  /** Time in which its event loop was busy, in milliseconds. */
  readonly activeMs: number;
}

/** Resources of the port that its limits bound. */
export interface HttpGauges {
  readonly connections: number;
  /** Over REST, under way. */
  readonly requests: number;
  /** Bytes of answers that clients are taking. */
  readonly unreadBytes: number;
}
