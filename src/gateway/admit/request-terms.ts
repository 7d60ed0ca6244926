/** Terms of a request for the queue: the parameters that the protocol reserves. */

import type { Datatype, Shape } from '../../wire/tensor.ts';

export interface RequestTerms {
  /** Its own limit from its arrival on, in milliseconds; `undefined` where it names none. */
  readonly timeoutMs: number | undefined;
  /** 1 is the most urgent level; 0 is the model's default. */
  readonly priority: number;
  /** `undefined` for a request that belongs to no sequence. */
  readonly sequence: SequenceTerms | undefined;
  /**
   * Predicted work after this step of an ensemble, for a batch of `rows` rows: its requests proceed together. Only steps have
   * it.
   */
  readonly behind?: (rows: number) => PathBehind;
  /** When the whole call should be answered, where it named no deadline and this is a step of an ensemble. */
  readonly objectiveAt?: number;
  /** Takes an answer before the last one; absent where the caller takes only one. Resolves when the caller has it. */
  readonly send?: ((outputs: readonly SentOutput[]) => Promise<void>) | undefined;
}

/** An output of an answer before the last one. */
export interface SentOutput {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: Shape;
  readonly data: Uint8Array;
}

/** The steps of an ensemble that follow one of its steps. */
export interface PathBehind {
  /** Milliseconds, waits included: the step is to be ready that much before the call's deadline. */
  readonly ms: number;
  /** The part of that which their runs take by themselves. */
  readonly runMs: number;
  /** Milliseconds until the next of them could start: what this step computes is of no use before. */
  readonly readyInMs: number;
  /** Nothing waits for their models, and nothing runs on them. */
  readonly isIdle: boolean;
}

/** Until the models of the steps behind have worked off what goes before the request. */
export function waitMsOf(behind: PathBehind | undefined): number {
  return behind === undefined ? 0 : behind.ms - behind.runMs;
}

export interface SequenceTerms {
  /** The correlation id: a number or a text, never 0 and never empty. `5` and `'5'` are two sequences. */
  readonly id: bigint | string;
  readonly start: boolean;
  readonly end: boolean;
}

export const NO_TERMS: RequestTerms = { timeoutMs: undefined, priority: 0, sequence: undefined };
