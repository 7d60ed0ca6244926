import { diagnostics } from '../ops/diagnostics.ts';
import type { Rollout } from './rollout.ts';

/**
 * Feeds the rollouts that run with what the stages publish, until the returned function is called.
 * @param running by model
 */
export function feedEvidence(running: ReadonlyMap<string, Rollout>): () => void {
  const stops = [
    diagnostics.shadowEnded.subscribe((event) => running.get(event.model)?.recordCopy(event)),
    diagnostics.inferenceEnded.subscribe((event) => {
      if (running.size === 0 || event.model === undefined) return;
      running.get(event.model.name)?.recordInference(event.model.version, event);
    }),
    diagnostics.runnerEnded.subscribe((event) => {
      for (const { name, version } of event.models) {
        const rollout = running.get(name);
        if (rollout?.plan.to === version) rollout.recordRunnerEnd(event);
      }
    }),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}
