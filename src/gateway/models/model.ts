/** One model version: its configuration, its queue, and the instances that run it, from loading to its end. */

import { messageOf } from '../../error-message.ts';
import type { LearnedCost } from '../batch/cost-model.ts';
import type { Occupancy } from '../batch/occupancy.ts';
import { DeviceSet } from '../dispatch/device-set.ts';
import { InstanceGroup } from '../dispatch/instance-group.ts';
import { describeOutage, type Outage } from '../dispatch/outage.ts';
import type { Runner } from '../dispatch/runner.ts';
import { LoadError } from '../dispatch/runner-process.ts';
import { InferError, withJitter } from '../errors.ts';
import { type BreakerState, diagnostics, type ModelRef, type ModelState, type Prediction } from '../ops/diagnostics.ts';
import type { ModelConfig } from '../repository/config/model-config.ts';
import { isStepPlatform } from '../repository/config/step-schema.ts';
import { fingerprintVersion } from '../repository/fingerprint.ts';
import { explainLoadFailure } from '../repository/model-file.ts';
import { describeBatching } from '../repository/signature/batching-description.ts';
import { lengthsOf } from '../repository/signature/model-signature.ts';
import { CallGateway } from './code/call-gateway.ts';
import { LoadProgress } from './load-progress.ts';
import { type Loaded, type Neighbourhood, prepareModel } from './model-preparation.ts';
import { ModelStatistics } from './model-statistics.ts';
import type { ModelPlan } from './planned-version.ts';
import { describeSequences } from './sequence-plan.ts';
import type { Placement, Servable, Served, ServingEvidence } from './servable.ts';

/** A version that has had no instance for longer is not ready. */
const MAX_ABSENCE_MS = 1_000;

export class Model implements Servable {
  readonly ref: ModelRef;
  readonly config: ModelConfig;
  readonly platform: Servable['platform'];
  readonly plan: ModelPlan;
  readonly statistics = new ModelStatistics();
  readonly #runner: Runner;
  readonly #neighbourhood: Neighbourhood;
  readonly #group: InstanceGroup;
  #state: ModelState = 'LOADING';
  #detail = 'loading';
  #served: Loaded | undefined;
  /** Runs while it is down and still READY. */
  #absence: NodeJS.Timeout | undefined;

  /** @param neighbourhood by default it shares no device. */
  constructor(plan: ModelPlan, runner: Runner, neighbourhood?: Neighbourhood) {
    this.ref = plan.ref;
    this.config = plan.config;
    this.platform = isStepPlatform(plan.config.platform) ? plan.config.platform : 'onnxruntime_onnx';
    this.plan = plan;
    this.#runner = runner;
    this.#neighbourhood = neighbourhood ?? {
      devices: new DeviceSet(),
      background: false,
      calls: new CallGateway(),
    };
    this.#group = new InstanceGroup({
      model: plan.ref,
      specs: plan.sessions,
      mailboxDirectory: plan.mailboxDirectory,
      loadLimitMs: plan.loadLimitMs,
      maxOutputBytes: plan.maxOutputBytes,
      onIdle: () => this.#served?.scheduler.wake(),
      onOutage: (outage) => this.#suspend(outage),
    });
  }

  get state(): ModelState {
    return this.#state;
  }

  /** Why it is not ready, or how it is served. */
  get detail(): string {
    const { outage } = this.#group;
    if (outage === undefined || !this.isDown || this.#state !== 'UNAVAILABLE') return this.#detail;
    return describeOutage(outage, performance.now());
  }

  /** It served, has no instance that lives, and comes back by itself. */
  get isDown(): boolean {
    return this.#served !== undefined && this.#group.outage !== undefined;
  }

  get pid(): number | undefined {
    return this.#runner.pid;
  }

  get modelPaths(): readonly string[] {
    return this.plan.sessions.map(({ modelPath }) => modelPath);
  }

  get placements(): readonly Placement[] {
    const provider = this.#served?.provider;
    return provider === undefined ? [] : this.plan.sessions.map(({ deviceId }) => ({ provider, deviceId }));
  }

  get breaker(): BreakerState {
    return this.#served?.circuit.state ?? 'closed';
  }

  get queuedRequests(): number {
    return this.#served?.batcher.queuedRequests ?? 0;
  }

  get queuedRows(): number {
    return this.#served?.batcher.queuedRows ?? 0;
  }

  get occupancy(): Occupancy | undefined {
    return this.#served?.scheduler.occupancy;
  }

  get cacheBytes(): number | undefined {
    return this.#served?.cache?.bytes;
  }

  get predictions(): readonly Prediction[] {
    return this.#served?.scheduler.predictions ?? [];
  }

  get learnedCosts(): readonly LearnedCost[] {
    return this.#served?.scheduler.costs.learned ?? [];
  }

  get usualObjectiveMs(): number | undefined {
    return this.#served?.scheduler.usualObjectiveMs;
  }

  get evidence(): ServingEvidence | undefined {
    return this.#served?.evidence;
  }

  get paddingShare(): number | undefined {
    if (this.#served === undefined || lengthsOf(this.#served.signature.batching) === undefined) return undefined;
    const { padded, computed } = this.statistics.padding;
    return computed === 0 ? 0 : padded / computed;
  }

  get ready(): Served {
    const { outage } = this.#group;
    // While a start is expected to succeed, the queue knows which requests can wait for it.
    const isWaiting = outage !== undefined && !outage.isRefused;
    if (this.#served !== undefined && (this.#state === 'READY' || isWaiting)) return this.#served;
    const text = `model '${this.ref.name}' version ${this.ref.version} is not at ready state: ${this.detail}`;
    const pushback = outage === undefined ? {} : { pushback: withJitter(outage.nextAtMs - performance.now()) };
    throw new InferError('model_not_ready', text, pushback);
  }

  async load(): Promise<void> {
    this.#become('LOADING', 'loading');
    using _progress = this.#watchLoad();
    try {
      if (this.plan.problem !== undefined) throw new Error(this.plan.problem);
      await this.#runner.load(this.#group);
      this.#served = await prepareModel(this.plan, this.#group, this.#neighbourhood, this.statistics);
      await this.#checkFiles();
      this.#become('READY', this.#describe(this.#served));
      // Its runner may have died after the last run of the warm-up.
      if (this.#group.outage !== undefined) this.#suspend(this.#group.outage);
    } catch (error) {
      this.#served = undefined;
      this.#runner.unload(this.#group);
      const reason = messageOf(error);
      const [modelPath] = this.modelPaths;
      const isLoad = error instanceof LoadError && modelPath !== undefined;
      this.#become('UNAVAILABLE', isLoad ? await explainLoadFailure(modelPath, reason) : reason);
    }
  }

  /** Ensembles have no file, and load at once. */
  #watchLoad(): Disposable | undefined {
    const [modelPath] = this.modelPaths;
    if (modelPath === undefined || this.plan.problem !== undefined) return undefined;
    return new LoadProgress({ model: this.ref, modelPath, pid: () => this.pid, limitMs: this.plan.loadLimitMs });
  }

  abandon(error: InferError): void {
    this.#served?.batcher.abandon(error);
  }

  async drained(): Promise<void> {
    await this.#served?.batcher.drained();
  }

  close(): void {
    clearTimeout(this.#absence);
    this.#served?.circuit.close();
    this.#served?.scheduler.close();
    this.#runner.unload(this.#group);
  }

  /** A file that changed meanwhile was half-written when it was read, or the next one. */
  async #checkFiles(): Promise<void> {
    const { ref, directory, fingerprint } = this.plan;
    if (fingerprint === undefined || fingerprint === (await fingerprintVersion(directory, ref.version))) return;
    throw new Error(
      `its files changed while it was loaded: load it again when ${directory}/${ref.version} is complete`,
    );
  }

  #describe({ signature, provider, sequences }: Loaded): string {
    const { size } = this.#group;
    const kept = sequences === undefined ? '' : `, ${describeSequences(sequences, this.plan.config)}`;
    return `${size} instance${size === 1 ? '' : 's'} on ${provider}, batching ${describeBatching(signature, this.plan.config)}${kept}`;
  }

  /** A replacement within a second goes unnoticed; after that, balancers should send requests elsewhere. */
  #suspend(outage: Outage | undefined): void {
    if (this.#served === undefined) return;
    this.#served.scheduler.wake();
    if (outage?.isRefused === true) this.#beAbsent();
    else if (outage !== undefined) this.#absence ??= setTimeout(() => this.#beAbsent(), MAX_ABSENCE_MS).unref();
    else {
      clearTimeout(this.#absence);
      this.#absence = undefined;
      if (this.#state !== 'READY') this.#become('READY', this.#describe(this.#served));
    }
  }

  #beAbsent(): void {
    const { outage } = this.#group;
    if (outage === undefined || this.#state !== 'READY') return;
    this.#become('UNAVAILABLE', describeOutage(outage, performance.now()));
  }

  #become(state: ModelState, detail: string): void {
    this.#state = state;
    this.#detail = detail;
    diagnostics.modelChanged.publish({ model: this.ref, state, detail });
  }
}
