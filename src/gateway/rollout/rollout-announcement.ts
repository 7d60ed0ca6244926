import { diagnostics } from '../ops/diagnostics.ts';
import type { RolloutRecord } from './rollout-record.ts';
import { percentOf } from './stage.ts';

/** Publishes a change of a rollout, for logs and metrics. */
export function announce({ plan: { model, from, to, steps }, stage }: RolloutRecord, text: string): void {
  const cause = stage.kind === 'rolled_back' ? stage.cause : undefined;
  diagnostics.rolloutChanged.publish({
    model,
    from,
    to,
    stage: stage.kind,
    percent: percentOf(stage, { steps }),
    cause,
    text,
  });
}
