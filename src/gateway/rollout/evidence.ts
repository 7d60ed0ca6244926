/** Observations of two versions of a model while one takes over the traffic of the other. */

import type { Reason } from '../errors.ts';
import type { BreakerState, InferenceEnded, ModelState, ShadowEnded } from '../ops/diagnostics.ts';
import { Latencies } from './latencies.ts';

export interface VersionCondition {
  /** `ABSENT`: the server does not have it. */
  readonly state: ModelState | 'ABSENT';
  readonly detail: string;
  readonly breaker: BreakerState;
  /** Whether its files are unchanged since the start; `unknown` while they are read. */
  readonly files: 'same' | 'changed' | 'unknown';
}

/** Copies of requests, as their answers compare. */
export interface CopyEvidence {
  readonly compared: number;
  /** Rows, or comparisons where the outputs have none or a largest difference is the measure. */
  readonly agreeing: number;
  readonly disagreeing: number;
  readonly incomparable: number;
  readonly failed: number;
  readonly shed: number;
  readonly lastFailure: Reason | undefined;
  readonly maxAbsolute: number;
}

export interface RequestEvidence {
  readonly failed: number;
  readonly lastFailure: Reason | undefined;
  /** Only of successful requests. */
  readonly latencies: Pick<Latencies, 'count' | 'above' | 'quantile' | 'withoutWorst'>;
}

/** Everything that a decision is made from. */
export interface Evidence {
  readonly from: VersionCondition;
  readonly to: VersionCondition;
  /** How the process of the new version ended, if it did. */
  readonly crash: string | undefined;
  /** Whether the model's configuration spreads its requests otherwise than at the start. */
  readonly reconfigured: boolean;
  /** Since the rollout began, or the server was started. */
  readonly copies: CopyEvidence;
  /** Since the stage began. */
  readonly fromRequests: RequestEvidence;
  readonly toRequests: RequestEvidence;
}

/** Failures caused by the request or the caller, whichever version got it. */
const NOT_ITS_FAULT: ReadonlySet<Reason> = new Set([
  'malformed_message',
  'limit_exceeded',
  'invalid_request',
  'model_not_found',
  'rate_limited',
  'draining',
  'cancelled',
  'unimplemented',
]);

/** Without a limit, what two outputs without rows may differ by: more than rounding explains. */
const CLOSE = 1e-3;

type Compared = Extract<ShadowEnded['outcome'], { readonly kind: 'compared' }>;

export class CopyLedger implements CopyEvidence {
  compared = 0;
  agreeing = 0;
  disagreeing = 0;
  incomparable = 0;
  failed = 0;
  shed = 0;
  lastFailure: Reason | undefined;
  maxAbsolute = 0;
  readonly #maxDifference: number | undefined;

  constructor(maxDifference: number | undefined) {
    this.#maxDifference = maxDifference;
  }

  record(outcome: ShadowEnded['outcome']): void {
    switch (outcome.kind) {
      case 'compared':
        this.#compare(outcome);
        break;
      case 'failed':
        // A copy that was given up because the server ends says nothing.
        if (NOT_ITS_FAULT.has(outcome.reason)) break;
        this.failed++;
        this.lastFailure = outcome.reason;
        break;
      case 'shed':
        this.shed++;
        break;
    }
  }

  #compare({ result, absolute, rowsAgreeing, rowsDisagreeing }: Compared): void {
    this.compared++;
    if (result === 'incomparable') {
      this.incomparable++;
      return;
    }
    this.maxAbsolute = Math.max(this.maxAbsolute, absolute);
    if (this.#maxDifference === undefined && rowsAgreeing + rowsDisagreeing > 0) {
      this.agreeing += rowsAgreeing;
      this.disagreeing += rowsDisagreeing;
      return;
    }
    // Elements that have no distance are equal or not.
    const isClose = result === 'equal' || (absolute > 0 && absolute <= (this.#maxDifference ?? CLOSE));
    if (isClose) this.agreeing++;
    else this.disagreeing++;
  }
}

export class RequestLedger implements RequestEvidence {
  failed = 0;
  lastFailure: Reason | undefined;
  readonly latencies = new Latencies();

  /** @param nowMs on whatever clock. */
  record({ reason, durationMs }: Pick<InferenceEnded, 'reason' | 'durationMs'>, nowMs: number): void {
    if (reason === undefined) this.latencies.add(durationMs, nowMs);
    else if (!NOT_ITS_FAULT.has(reason)) {
      this.failed++;
      this.lastFailure = reason;
    }
  }
}
