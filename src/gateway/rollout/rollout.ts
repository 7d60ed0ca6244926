/** One rollout that runs: its record, the evidence since its stage began, and the decision that follows. */

import { messageOf } from '../../error-message.ts';
import { InferError } from '../errors.ts';
import type { ModelTable } from '../models/model-table.ts';
import type { Servable } from '../models/servable.ts';
import type { InferenceEnded, RunnerEnded, ShadowEnded } from '../ops/diagnostics.ts';
import { baselineOf, type Decision, decide, type RolloutProgress } from './decision.ts';
import { CopyLedger, type Evidence, RequestLedger, type VersionCondition } from './evidence.ts';
import type { RolloutPlan } from './rollout-plan.ts';
import { describeTraffic, type RolloutRecord, withEvent } from './rollout-record.ts';
import { describeStage, type RollbackCause, type Stage } from './stage.ts';
import { digestVersion } from './version-digest.ts';
import type { VersionLoader } from './version-loader.ts';

/** State of the files of a version in the table. */
interface SeenVersion {
  readonly servable: Servable;
  /** `undefined` while they are read; a text that no digest is where they cannot be. */
  digest: string | undefined;
}

type Side = 'from' | 'to';

export class Rollout {
  readonly #models: ModelTable;
  #record: RolloutRecord;
  #detail = '';
  #hasRequestedLoad = false;
  /** Why the requested load of the new version failed. */
  #loadProblem: string | undefined;
  readonly #seen = new Map<Side, SeenVersion>();
  #sinceMs: number;
  #crash: string | undefined;
  #copies: CopyLedger;
  #fromRequests = new RequestLedger();
  #toRequests = new RequestLedger();

  constructor(record: RolloutRecord, models: ModelTable, nowMs: number) {
    this.#record = record;
    this.#models = models;
    this.#sinceMs = nowMs;
    this.#copies = new CopyLedger(record.plan.limits.maxDifference);
  }

  get record(): RolloutRecord {
    return this.#record;
  }

  get detail(): string {
    return this.#detail;
  }

  get plan(): RolloutPlan {
    return this.#record.plan;
  }

  wait(detail: string): void {
    this.#detail = detail;
  }

  /** Waits, and forgets all evidence. */
  pause(detail: string, nowMs: number): void {
    this.#detail = detail;
    this.#copies = new CopyLedger(this.plan.limits.maxDifference);
    this.#restart(nowMs);
  }

  /** Enters the stage of `record`. Its evidence starts with no requests; copies go on being counted. */
  enter(record: RolloutRecord, nowMs: number): void {
    this.#record = record;
    this.#detail = 'begun';
    this.#restart(nowMs);
  }

  #restart(nowMs: number): void {
    this.#sinceMs = nowMs;
    this.#fromRequests = new RequestLedger();
    this.#toRequests = new RequestLedger();
  }

  advanced(stage: Stage, reason: string): RolloutRecord {
    const { plan } = this;
    const { stage: before, baselineP99Ms } = this.#record;
    const noted = withEvent({ ...this.#record, stage }, `${describeStage(stage, plan)}: ${reason}`);
    const traffic = this.#models.trafficOf(plan.model);
    const isLoaded = before.kind === 'loading' && traffic !== undefined;
    return {
      ...noted,
      baselineP99Ms: before.kind === 'shadow' ? baselineOf(this.observe()) : baselineP99Ms,
      ...(isLoaded && { configured: describeTraffic(traffic.configured), digests: this.#digests() }),
    };
  }

  rolledBack(cause: RollbackCause, reason: string): RolloutRecord {
    const { plan } = this;
    const stage: Stage = { kind: 'rolled_back', cause, reason };
    const noted = withEvent({ ...this.#record, stage }, `${describeStage(stage, plan)}: ${reason}`);
    const traffic = this.#models.trafficOf(plan.model);
    const configured = this.#record.configured ?? (traffic && describeTraffic(traffic.configured));
    return { ...noted, configured, inForce: cause !== 'reconfigured' };
  }

  /** Both digests; `undefined` until both are known. */
  #digests(): RolloutRecord['digests'] {
    const from = this.#seen.get('from')?.digest;
    const to = this.#seen.get('to')?.digest;
    return from === undefined || to === undefined ? undefined : { from, to };
  }

  /** Loads the new version where it is on disk and not loaded, once. */
  loadOnce(loader: Pick<VersionLoader, 'loadNew'>): void {
    if (this.#record.stage.kind !== 'loading' || this.#hasRequestedLoad) return;
    if (this.#versionOf('from')?.state !== 'READY') return;
    const state = this.#versionOf('to')?.state;
    if (state === 'READY' || state === 'LOADING') return;
    this.#hasRequestedLoad = true;
    void loader.loadNew(this.plan.model).then(
      () => {
        if (this.#versionOf('to') === undefined) this.#loadProblem = 'a load of the model did not bring it';
      },
      (error: unknown) => {
        // A server that shuts down loads nothing; the next one will.
        if (error instanceof InferError && error.reason === 'draining') return;
        this.#loadProblem = messageOf(error);
      },
    );
  }

  decide(nowMs: number): Decision {
    const { stage, baselineP99Ms } = this.#record;
    const progress: RolloutProgress = { stage, sinceMs: this.#sinceMs, baselineP99Ms };
    for (const side of ['from', 'to'] as const) this.#readFiles(side);
    return decide(this.plan, progress, this.observe(), nowMs);
  }

  observe(): Evidence {
    const { configured } = this.#record;
    const traffic = this.#models.trafficOf(this.plan.model);
    const to = this.#condition('to');
    return {
      from: this.#condition('from'),
      to: this.#loadProblem === undefined ? to : { ...to, state: 'UNAVAILABLE', detail: this.#loadProblem },
      crash: this.#crash,
      reconfigured:
        configured !== undefined && traffic !== undefined && describeTraffic(traffic.configured) !== configured,
      copies: this.#copies,
      fromRequests: this.#fromRequests,
      toRequests: this.#toRequests,
    };
  }

  recordCopy({ primary, shadow, outcome }: ShadowEnded): void {
    if (primary === this.plan.from && shadow === this.plan.to) this.#copies.record(outcome);
  }

  recordInference(version: string, event: InferenceEnded): void {
    if (version === this.plan.from) this.#fromRequests.record(event, performance.now());
    else if (version === this.plan.to) this.#toRequests.record(event, performance.now());
  }

  /** The load itself reports a process that ends during it. */
  recordRunnerEnd({ cause, isStopped }: RunnerEnded): void {
    if (this.#record.stage.kind !== 'loading' && !isStopped) this.#crash ??= `its process ended: ${cause}`;
  }

  #versionOf(side: Side): Servable | undefined {
    return this.#models.versionsOf(this.plan.model).find(({ ref }) => ref.version === this.plan[side]);
  }

  #condition(side: Side): VersionCondition {
    const servable = this.#versionOf(side);
    if (servable === undefined) return { state: 'ABSENT', detail: '', breaker: 'closed', files: 'unknown' };
    const { state, detail, breaker } = servable;
    return { state, detail, breaker, files: state === 'READY' ? this.#filesOf(side, servable) : 'unknown' };
  }

  /**
   * A version is read once, and again when another replaces it in the table. Only a decision starts that: reading the state must not
   * take the change from the decision, which forgets its observations of the old version.
   */
  #readFiles(side: Side): void {
    const servable = this.#versionOf(side);
    if (servable?.state !== 'READY' || this.#seen.get(side)?.servable === servable) return;
    const reading: SeenVersion = { servable, digest: undefined };
    this.#seen.set(side, reading);
    const [modelPath = ''] = servable.modelPaths;
    void digestVersion(modelPath).then(
      (digest) => {
        reading.digest = digest;
      },
      (error: unknown) => {
        reading.digest = `cannot be read: ${messageOf(error)}`;
      },
    );
  }

  #filesOf(side: Side, servable: Servable): VersionCondition['files'] {
    const seen = this.#seen.get(side);
    if (seen?.servable !== servable || seen.digest === undefined) return 'unknown';
    const { digests } = this.#record;
    return digests === undefined || digests[side] === seen.digest ? 'same' : 'changed';
  }
}
