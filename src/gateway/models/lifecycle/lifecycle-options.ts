import type { PlanDefaults } from '../model-plan.ts';
import type { ControlMode } from './load-control.ts';
import type { ModelMemory } from './model-memory.ts';

export interface LifecycleOptions {
  readonly repository: string;
  readonly mode: ControlMode;
  /** Loaded at the start in mode `explicit`; `*` is all. */
  readonly initial: readonly string[];
  /** Between looks at the repository in mode `poll`. */
  readonly pollIntervalMs: number;
  /** Whether files of models are taken from clients. */
  readonly allowsUpload: boolean;
  /** Whether an evicted model is loaded again when a request asks for it. */
  readonly onDemand: boolean;
  readonly memory: ModelMemory;
  readonly defaults: PlanDefaults;
}
