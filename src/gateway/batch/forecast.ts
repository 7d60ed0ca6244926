/** Forecast for a request that arrives now. Ensembles ask the models of their steps before they start. */

import type { InferTensors } from '../admit/infer-tensors.ts';

/** A device that runs of several models share, compared by identity. */
export type SharedDevice = object;

/** The part of a request that its time depends on. */
export type RequestSize = Pick<InferTensors, 'rows' | 'size'>;

/** Times are predicted milliseconds; 0 where nothing is known. */
export interface Forecast {
  /** Until an instance is idle. */
  readonly runningMs: number;
  /** Time of the batches of all waiting requests. */
  readonly waitingMs: number;
  /** A run of the request by itself. The parts of a request larger than a batch run beside each other on all instances. */
  readonly aloneMs: number;
  /** Nothing waits, and nothing runs. */
  readonly isIdle: boolean;
  /** `undefined`: not one device, or not known. */
  readonly device: SharedDevice | undefined;
  /** How many runs the device takes at a time without slowing them. */
  readonly parallel: number;
}

export const UNKNOWN: Forecast = {
  runningMs: 0,
  waitingMs: 0,
  aloneMs: 0,
  isIdle: true,
  device: undefined,
  parallel: Number.POSITIVE_INFINITY,
};
