/** What a request asks of the queue, by the parameters that the protocol reserves. */

export interface RequestTerms {
  /** Its own limit from its arrival on, in milliseconds; `undefined` where it names none. */
  readonly timeoutMs: number | undefined;
  /** 1 is the most urgent level; 0 is the model's default. */
  readonly priority: number;
  /** `undefined` for a request that belongs to no sequence. */
  readonly sequence: SequenceTerms | undefined;
  /**
   * Predicted milliseconds of the longest path behind this step of an ensemble: its answer is to be ready that much before the
   * call's deadline. Only steps carry it.
   */
  readonly behindMs?: number;
  /** When the whole call should be answered, where it named no deadline and this is a step of an ensemble. */
  readonly objectiveAt?: number;
}

export interface SequenceTerms {
  /** The correlation id: a number or a text, never 0 and never empty. `5` and `'5'` are two sequences. */
  readonly id: bigint | string;
  readonly start: boolean;
  readonly end: boolean;
}

/** A request that names none of it. */
export const NO_TERMS: RequestTerms = { timeoutMs: undefined, priority: 0, sequence: undefined };
