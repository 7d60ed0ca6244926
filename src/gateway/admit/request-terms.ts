/** What a request asks of the queue, by the parameters that the protocol reserves. */

export interface RequestTerms {
  /** Its own limit from its arrival on, in milliseconds; `undefined` where it names none. */
  readonly timeoutMs: number | undefined;
  /** 1 is the most urgent level; 0 is the model's default. */
  readonly priority: number;
  /** `undefined` for a request that belongs to no sequence. */
  readonly sequence: SequenceTerms | undefined;
}

export interface SequenceTerms {
  /** The correlation id: a number or a text, never 0 and never empty. `5` and `'5'` are two sequences. */
  readonly id: bigint | string;
  readonly start: boolean;
  readonly end: boolean;
}

/** A request that names none of it. */
export const NO_TERMS: RequestTerms = { timeoutMs: undefined, priority: 0, sequence: undefined };
