/** The next batch of a model version: the requests that may run, what batches of them cost, and the decision between them. */

import type { CostModel } from './cost-model.ts';
import type { DeviceShare } from './device.ts';
import { type Decision, decide } from './dynamic-batcher.ts';
import type { Executor } from './executor.ts';
import { paddedSize, withFirst } from './length-runs.ts';
import type { QueuedRequest } from './queued-request.ts';
import type { Returning, ReturningCallers } from './returning-callers.ts';
import type { RowLimits } from './row-limits.ts';
import { withStepsBehind } from './steps-behind.ts';
import type { Triage } from './triage.ts';
import type { BatchPolicy, Bucket } from './waiting.ts';

/** The parts of a scheduler that a plan depends on. */
interface PlannerDependencies {
  readonly triage: Triage;
  readonly costs: CostModel;
  readonly share: DeviceShare;
  readonly rowLimits: RowLimits;
  readonly executor: Pick<Executor, 'idle'>;
  readonly callers: ReturningCallers;
}

export class BatchPlanner {
  readonly #policy: BatchPolicy;
  readonly #triage: Triage;
  readonly #costs: CostModel;
  readonly #share: DeviceShare;
  readonly #rowLimits: RowLimits;
  readonly #executor: Pick<Executor, 'idle'>;
  readonly #callers: ReturningCallers;

  constructor(policy: BatchPolicy, { triage, costs, share, rowLimits, executor, callers }: PlannerDependencies) {
    this.#policy = policy;
    this.#triage = triage;
    this.#costs = costs;
    this.#share = share;
    this.#rowLimits = rowLimits;
    this.#executor = executor;
    this.#callers = callers;
  }

  /** The decision at `now`. Drops requests that cannot be answered in time. */
  next(now: number): Decision<QueuedRequest> {
    const candidates = this.#triage.candidates(now);
    const buckets = candidates.map((waiting) => this.#bucket(waiting, now));
    const idle = Math.min(this.#executor.idle, this.#share.room);
    const decision = decide(buckets, this.#policy, idle, now, this.#returningTo(candidates));
    if (decision.kind !== 'run' || decision.reason === 'preferred') return decision;
    return { ...decision, requests: this.#withoutDearPadding(decision.requests, now) };
  }

  /** Callers whose next requests would join the only bucket. Not on a device that another version would take meanwhile. */
  #returningTo(candidates: readonly (readonly QueuedRequest[])[]): Returning | undefined {
    const [waiting] = candidates;
    if (candidates.length !== 1 || !this.#share.isOnly) return undefined;
    const { returning } = this.#callers;
    return returning?.bucket === waiting?.[0]?.tensors.bucket ? returning : undefined;
  }

  #bucket(waiting: readonly QueuedRequest[], now: number): Bucket<QueuedRequest> {
    const size = paddedSize(waiting);
    const { beside } = this.#share;
    return withStepsBehind({
      waiting,
      ...this.#rowLimits.of(waiting[0]?.tensors),
      predict: (rows) => this.#costs.predict(size, rows, now, beside),
    });
  }

  /** Leaves requests in the queue that are cheaper in a run without the first one. */
  #withoutDearPadding(requests: readonly QueuedRequest[], now: number): readonly QueuedRequest[] {
    const { beside } = this.#share;
    return withFirst(requests, (size, rows) => this.#costs.predict(size, rows, now, beside));
  }
}
