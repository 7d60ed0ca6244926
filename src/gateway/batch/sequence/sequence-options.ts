import type { ControlSpec, StateSpec } from '../../repository/signature/sequence-signature.ts';
import type { QueuePolicies } from '../queue-policy.ts';

export interface SequenceOptions {
  /** The model's name, for the texts of refusals. */
  readonly model: string;
  /** How many inputs the session has. */
  readonly inputs: number;
  readonly states: readonly StateSpec[];
  readonly controls: readonly ControlSpec[];
  readonly maxSequences: number;
  /** Bytes that the states and ids of all sequences may have. A single sequence may have more. */
  readonly maxSequenceBytes: number;
  /** Sequences that may hand requests on; others wait until one of these ends. */
  readonly slots: number;
  /** A sequence without a request for so long ends, in milliseconds. */
  readonly idleMs: number;
  /** Waiting requests, here and behind. */
  readonly queues: QueuePolicies;
  readonly maxQueueBytes: number;
}
