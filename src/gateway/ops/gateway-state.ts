/** The state of the gateway that gauges show. */

import type { TransportLoad } from '../accept/call.ts';
import type { HttpLoad } from '../accept/http/http-limits.ts';
import type { BreakerState, ModelRef, ModelState, Prediction } from './diagnostics.ts';

/** The gateway at this moment. */
export interface GatewayState {
  readonly inFlightRequests: number;
  readonly inFlightBytes: number;
  readonly maxInFlightBytes: number;
  readonly models: readonly ModelLoad[];
  /** Sum over all gRPC ports; `undefined` if the transport does not report it. */
  readonly transport?: TransportLoad | undefined;
  /** `undefined` before the port is open. */
  readonly http?: HttpLoad | undefined;
}

/** One model version at this moment. */
export interface ModelLoad {
  readonly ref: ModelRef;
  readonly state: ModelState;
  readonly queuedRequests: number;
  readonly queuedRows: number;
  /** `undefined` where it has no response cache. */
  readonly cacheBytes?: number | undefined;
  /** `undefined` where its requests are not padded. */
  readonly paddingShare?: number | undefined;
  /** Times that batches are predicted to take; empty where nothing is known. */
  readonly predictions?: readonly Prediction[] | undefined;
  readonly isDown: boolean;
  /** What its runner process holds; of one that several share, an equal part. */
  readonly memoryBytes: number;
  readonly breaker: BreakerState;
}
