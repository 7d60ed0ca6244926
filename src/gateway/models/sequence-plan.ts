/** How the sequences of a stateful model are batched: Triton's strategies, in terms of the batchers that there are. */

import type { Batcher } from '../batch/batcher.ts';
import { SequenceBatcher } from '../batch/sequence/sequence-batcher.ts';
import type { BatchPolicy } from '../batch/waiting.ts';
import type { ModelConfig } from '../repository/config/model-config.ts';
import type { SequenceSignature } from '../repository/signature/sequence-signature.ts';
import { queuePolicies } from './queue-plan.ts';

/** How batches of a stateful model form; `undefined` for any other model. */
export function sequencePolicy({ sequence_batching: config }: ModelConfig, maxRows: number): BatchPolicy | undefined {
  if (config === undefined) return undefined;
  const { oldest, direct } = config;
  if (oldest !== undefined) {
    const maxDelayMs = oldest.max_queue_delay_microseconds / 1_000;
    const preferredRows = oldest.preferred_batch_size.filter((rows) => rows <= maxRows).sort((a, b) => a - b);
    return { maxRows, maxDelayMs, preferredRows };
  }
  // Without a utilization to wait for, a request that is ready goes at once.
  const utilization = direct?.minimum_slot_utilization ?? 0;
  if (direct === undefined || utilization === 0) return { maxRows, maxDelayMs: 0, preferredRows: [] };
  const enough = Math.max(1, Math.ceil(utilization * maxRows));
  // Any size from there on will do.
  const preferredRows = Array.from({ length: maxRows - enough + 1 }, (_, index) => enough + index);
  return { maxRows, maxDelayMs: direct.max_queue_delay_microseconds / 1_000, preferredRows };
}

/** Facts of the loaded model that the plan depends on. */
export interface SequencePlace {
  readonly model: string;
  /** How many inputs the session has. */
  readonly inputs: number;
  readonly instances: number;
  readonly maxRows: number;
}

/** @param next what forms the batches. */
export function batchSequences(
  { states, controls }: SequenceSignature,
  config: ModelConfig,
  { model, inputs, instances, maxRows }: SequencePlace,
  next: Batcher,
): SequenceBatcher {
  const { sequence_batching: sequences, tensorgate } = config;
  return new SequenceBatcher(
    {
      model,
      inputs,
      states,
      controls,
      maxSequences: tensorgate.max_sequences,
      maxSequenceBytes: tensorgate.max_sequence_bytes,
      slots: slotsOf(config, instances * maxRows),
      idleMs: (sequences?.max_sequence_idle_microseconds ?? 0) / 1_000,
      queues: queuePolicies(config),
      maxQueueBytes: tensorgate.max_queue_bytes,
    },
    next,
  );
}

/** Sequences that may hand requests on. Without a strategy all may: where the state lives here, nothing speaks against it. */
function slotsOf({ sequence_batching: sequences, tensorgate }: ModelConfig, places: number): number {
  if (sequences?.direct !== undefined) return places;
  return sequences?.oldest?.max_candidate_sequences ?? tensorgate.max_sequences;
}

/** `sequences direct (at most 10000, 1024 bytes of state each, 256.0 MiB together)` */
export function describeSequences({ stateBytes }: SequenceSignature, config: ModelConfig): string {
  const strategy = config.sequence_batching?.direct === undefined ? 'oldest' : 'direct';
  const { max_sequences: most, max_sequence_bytes: mostBytes } = config.tensorgate;
  const together = (mostBytes / 2 ** 20).toFixed(1);
  return `sequences ${strategy} (at most ${most}, ${stateBytes} bytes of state each, ${together} MiB together)`;
}
