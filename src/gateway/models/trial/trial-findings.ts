import type { BatchGain } from './batch-gain.ts';
import type { Tally } from './tally.ts';

/** Whether rows of a batch are independent of each other, and how that is known. */
export type RowFinding =
  /** Runs show it; `doubt` is what the names of the axes said against it. */
  | { readonly kind: 'proven'; readonly tally: Tally; readonly doubt: string | undefined }
  /** Runs show the contrary, or the model could not be run. */
  | { readonly kind: 'refuted'; readonly reason: string }
  /** No run was needed, or the configuration forbids it. */
  | { readonly kind: 'not_run'; readonly reason: string };

/** Findings of the trial of a version before READY. */
export interface TrialFindings {
  readonly rows: RowFinding;
  /** Absent where no length was padded for a proof. */
  readonly padding: Tally | undefined;
  /** Rows with known answers that were given; 0 without such rows. */
  readonly goldenRows: number;
  /** Findings of the sweep over batch sizes; absent if too little was measured. */
  readonly gain: BatchGain | undefined;
}
