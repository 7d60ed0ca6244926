/**
 * The rollouts of a server, at most one for each model: what `decide` decides, done.
 *
 * R1: the new version gets more only after that is written down: a server that is killed takes up the step that is recorded.
 * R2: it gets less at once, and that is written down after; where it cannot be, that is tried again until it is.
 * R3: only how requests are spread is changed, in memory. Both versions stay loaded, so what was accepted is answered.
 */

import path from 'node:path';
import { messageOf } from '../../error-message.ts';
import { InferError } from '../errors.ts';
import { Turns } from '../models/lifecycle/turns.ts';
import type { ModelTable } from '../models/model-table.ts';
import type { Servable } from '../models/servable.ts';
import { diagnostics } from '../ops/diagnostics.ts';
import { ModelConfigError } from '../repository/config/model-config.ts';
import { isVersionName } from '../repository/version-number.ts';
import { readPublished } from '../repository/version-report.ts';
import { baselineOf } from './decision.ts';
import type { Evidence } from './evidence.ts';
import { expectedLimits } from './expectations.ts';
import { Rollout } from './rollout.ts';
import { DEFAULT_COURSE, type RolloutPlan } from './rollout-plan.ts';
import { describeTraffic, type RolloutRecord } from './rollout-record.ts';
import { checkRequest, isAsAsked, type RolloutRequest } from './rollout-request.ts';
import { isOver, percentOf, type RollbackCause, type Stage, steeringOf } from './stage.ts';
import type { StateDirectory } from './state-directory.ts';

/** What rollouts need of the lifecycle of models. */
export interface VersionLoader {
  loadable(name: string): Promise<ReadonlyMap<string, string>>;
  loadNew(name: string): Promise<void>;
}

export interface RolloutOptions {
  /** Whether models are put out to make room for others. */
  readonly onDemand: boolean;
  /** Between looks at what was seen, in milliseconds. */
  readonly tickMs?: number;
}

/** How a rollout stands. */
export interface RolloutView {
  readonly record: RolloutRecord;
  /** What it waits for, or how it ended. */
  readonly detail: string;
  /** `undefined` for one that is over, or was never begun. */
  readonly evidence: Evidence | undefined;
}

const TICK_MS = 200;
const MAX_EVENTS = 100;

export class Rollouts {
  readonly #models: ModelTable;
  readonly #loader: VersionLoader;
  readonly #state: StateDirectory;
  readonly #onDemand: boolean;
  readonly #tickMs: number;
  /** One change at a time, over all models: they are few, and small. */
  readonly #turns = new Turns();
  /** By model. */
  readonly #running = new Map<string, Rollout>();
  /** By model: the last one that is over. */
  readonly #over = new Map<string, RolloutRecord>();
  /** By model: what could not be written down yet. */
  readonly #unwritten = new Map<string, RolloutRecord>();
  #timer: NodeJS.Timeout | undefined;
  #ended = false;
  readonly #unsubscribe: readonly (() => void)[];

  constructor(models: ModelTable, loader: VersionLoader, state: StateDirectory, options: RolloutOptions) {
    this.#models = models;
    this.#loader = loader;
    this.#state = state;
    this.#onDemand = options.onDemand;
    this.#tickMs = options.tickMs ?? TICK_MS;
    this.#unsubscribe = [
      models.onChange(() => this.#heedConfigurations()),
      diagnostics.shadowEnded.subscribe((event) => this.#running.get(event.model)?.recordCopy(event)),
      diagnostics.inferenceEnded.subscribe((event) => {
        if (this.#running.size === 0 || event.model === undefined) return;
        this.#running.get(event.model.name)?.recordInference(event.model.version, event);
      }),
      diagnostics.runnerEnded.subscribe((event) => {
        for (const { name, version } of event.models) {
          const rollout = this.#running.get(name);
          if (rollout?.plan.to === version) rollout.recordRunnerEnd(event);
        }
      }),
    ];
  }

  /** Takes up what was written down. To be called before models are loaded: from then on their requests are spread accordingly. */
  async resume(): Promise<void> {
    for (const record of await this.#state.read()) {
      const { plan, stage } = record;
      if (record.inForce) this.#models.steer(plan.model, steeringOf(stage, plan));
      if (isOver(stage)) {
        this.#over.set(plan.model, record);
        continue;
      }
      const text = `taken up again after a start of the server, at ${describeStage(stage, plan)}`;
      const resumed = this.#note(record, text);
      this.#running.set(plan.model, new Rollout(resumed, this.#models, performance.now()));
      tell(resumed, text);
    }
    this.#schedule();
  }

  /** From now on nothing changes; what was written down is taken up by the next server. */
  end(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    for (const stop of this.#unsubscribe) stop();
  }

  /**
   * Starts a rollout.
   * @returns the one that runs, where it does all that is asked for; the one that is over, where the version was promoted by it.
   * @throws InferError `invalid_request`, `model_not_found`, `model_not_ready`, `rollout_refused`, and as `VersionLoader` does.
   */
  start(request: RolloutRequest): Promise<RolloutView> {
    checkRequest(request);
    return this.#turns.take(async () => {
      this.#checkNotEnded();
      const known = this.#knownTo(request);
      if (known !== undefined) return this.#view(known);
      const plan = await this.#plan(request);
      const record = this.#draft(plan);
      await this.#write(
        record,
        (error) => new InferError('rollout_refused', `the rollout is not begun: ${error.message}`),
      );
      this.#over.delete(plan.model);
      this.#apply(record);
      const rollout = new Rollout(record, this.#models, performance.now());
      this.#running.set(plan.model, rollout);
      await this.#step(rollout);
      this.#schedule();
      return this.#view(plan.model);
    });
  }

  /** What `start` would begin, or the one that it would return. Changes nothing. @throws InferError as `start` does. */
  rehearse(request: RolloutRequest): Promise<RolloutView> {
    checkRequest(request);
    return this.#turns.take(async () => {
      const known = this.#knownTo(request);
      if (known !== undefined) return this.#view(known);
      const record = { ...this.#draft(await this.#plan(request)), events: [], inForce: false };
      return { record, detail: 'it was not begun', evidence: undefined };
    });
  }

  /** @param model of all models where empty. @throws InferError `model_not_found` */
  status(model: string): readonly RolloutView[] {
    const known = [...new Set([...this.#running.keys(), ...this.#over.keys()])].sort();
    if (model !== '' && !known.includes(model) && !this.#models.names().includes(model)) throw unknownModel(model);
    return known.filter((name) => model === '' || name === model).map((name) => this.#view(name));
  }

  /** Rolls back. @throws InferError `model_not_found`, or `rollout_refused` where none runs. */
  abort(model: string): Promise<RolloutView> {
    return this.#turns.take(async () => {
      this.#checkNotEnded();
      const rollout = this.#running.get(model);
      if (rollout === undefined) throw this.#nothingOf(model, 'runs');
      await this.#rollBack(rollout, 'aborted', 'somebody asked for it');
      return this.#view(model);
    });
  }

  /** Forgets a rollout that is over. @throws InferError `model_not_found`, or `rollout_refused` where there is none, or it runs. */
  forget(model: string): Promise<void> {
    return this.#turns.take(async () => {
      this.#checkNotEnded();
      if (this.#running.has(model)) {
        throw new InferError('rollout_refused', `the rollout of '${model}' runs: abort it first`);
      }
      const record = this.#over.get(model);
      if (record === undefined) throw this.#nothingOf(model, 'is known');
      await this.#state.remove(model).catch((error: Error) => {
        throw new InferError('rollout_refused', `the rollout of '${model}' is not forgotten: ${error.message}`);
      });
      this.#unwritten.delete(model);
      this.#over.delete(model);
      this.#models.steer(model, undefined);
      tell(record, 'forgotten: requests are spread as the configuration says');
    });
  }

  /** The model, where what is asked for is already so. @throws InferError `rollout_refused` where another rollout runs. */
  #knownTo(request: RolloutRequest): string | undefined {
    const { model } = request;
    const version = this.#numberOf(request);
    const running = this.#running.get(model)?.plan;
    if (running !== undefined) {
      if (running.to === version && isAsAsked(running, request)) return model;
      const how = running.to === version ? `otherwise than asked for` : `from version ${running.from} to ${running.to}`;
      throw new InferError(
        'rollout_refused',
        `'${model}' is being rolled out ${how}: abort that first, or wait for its end`,
      );
    }
    const over = this.#over.get(model);
    return over?.stage.kind === 'promoted' && over.inForce && over.plan.to === version ? model : undefined;
  }

  /** The number of the version, which may be asked for by a label. */
  #numberOf({ model, version }: RolloutRequest): string {
    return this.#models.trafficOf(model)?.askedBy(version, undefined) ?? version;
  }

  async #plan(request: RolloutRequest): Promise<RolloutPlan> {
    const { model, course, limits } = request;
    const answering = this.#models.find(model, '');
    const to = this.#numberOf(request);
    if (!isVersionName(to)) {
      throw new InferError(
        'invalid_request',
        `version: expected a number above 0, or a label of the model, got '${to}'`,
      );
    }
    const refuse = (text: string): InferError =>
      new InferError('rollout_refused', `'${model}' cannot be rolled out: ${text}`);
    const problem = this.#obstacle(answering, to);
    if (problem !== undefined) throw refuse(problem);
    const directory = await this.#directoryOf(answering, to);
    const published = await readPublished(directory).catch((error: unknown) => {
      throw error instanceof ModelConfigError ? refuse(error.message) : error;
    });
    const from = answering.ref.version;
    const expected = expectedLimits(published, from);
    return {
      model,
      from,
      to,
      ...DEFAULT_COURSE,
      ...course,
      limits: { ...expected.limits, ...limits },
      expectations: expected.source,
    };
  }

  /** Why the model cannot be rolled out, whatever the version is. */
  #obstacle({ ref, config, platform, state, detail }: Servable, to: string): string | undefined {
    const traffic = this.#models.trafficOf(ref.name);
    if (platform === 'ensemble')
      return 'it is an ensemble, of which nothing can be copied: roll out the models of its steps';
    if (config.sequence_batching !== undefined) {
      return 'it has sequence_batching: single requests cannot be copied, nor sequences moved to another version';
    }
    if (this.#onDemand && !config.tensorgate.pinned) {
      return 'with --load-on-demand it could be put out meanwhile: set tensorgate.pinned in its configuration';
    }
    const sharers = [...(traffic?.plan.split ?? [])].filter(([, share]) => share > 0);
    if (sharers.length > 1) {
      const versions = sharers.map(([version]) => version).join(', ');
      return `its requests are spread over the versions ${versions}: give all of them to one in tensorgate.traffic.split`;
    }
    const shadow = traffic?.configured.shadow;
    if (shadow !== undefined && shadow.version !== to) {
      return `its configuration has version ${shadow.version} as the shadow: take tensorgate.traffic.shadow out`;
    }
    if (state !== 'READY') return `version ${ref.version}, which answers, is ${state}: ${detail}`;
    if (ref.version !== to) return undefined;
    return `version ${to} answers already. To try it beside another first, give that the requests: tensorgate.traffic.split: {<version>: 100}`;
  }

  /** Where the files of the new version are: of what is loaded, or of what can be. */
  async #directoryOf({ ref }: Servable, to: string): Promise<string> {
    const served = this.#models.versionsOf(ref.name).find(({ ref: { version } }) => version === to);
    const [modelPath] = served?.modelPaths ?? [];
    if (served?.state === 'READY' && modelPath !== undefined) {
      return path.join(modelPath, ...served.config.default_model_filename.split('/').map(() => '..'));
    }
    const loadable = await this.#loader.loadable(ref.name).catch((error: unknown) => {
      if (!(error instanceof InferError) || error.reason !== 'control_disabled') throw error;
      const how = served === undefined ? 'not loaded' : `${served.state}: ${served.detail}`;
      throw new InferError('control_disabled', `version ${to} of '${ref.name}' is ${how}, and ${error.message}`);
    });
    const directory = loadable.get(to);
    if (directory !== undefined && loadable.has(ref.version)) return directory;
    if (directory === undefined) {
      const text = `Request for unknown model: '${ref.name}' version ${to} is not found, or its version_policy leaves it out`;
      throw new InferError('model_not_found', text);
    }
    const text = `'${ref.name}' cannot be rolled out: its version_policy serves ${[...loadable.keys()].join(', ')}, and a load would end version ${ref.version}: set version_policy: {all: {}}`;
    throw new InferError('rollout_refused', text);
  }

  #draft(plan: RolloutPlan): RolloutRecord {
    const isLoaded = this.#models
      .versionsOf(plan.model)
      .some(({ ref, state }) => ref.version === plan.to && state === 'READY');
    const record: RolloutRecord = {
      plan,
      // The files of both are read before it gets a copy.
      stage: { kind: 'loading' },
      events: [],
      baselineP99Ms: undefined,
      configured: undefined,
      digests: undefined,
      inForce: true,
    };
    return this.#note(
      record,
      `begun: version ${plan.to} of ${plan.model} ${isLoaded ? 'is to take' : 'is loaded, to take'} the place of version ${plan.from}`,
    );
  }

  #view(model: string): RolloutView {
    const running = this.#running.get(model);
    if (running !== undefined) return { record: running.record, detail: running.detail, evidence: running.observe() };
    const record = this.#over.get(model);
    if (record === undefined) throw unknownModel(model);
    return { record, detail: record.events.at(-1)?.text ?? '', evidence: undefined };
  }

  #schedule(): void {
    const isIdle = this.#running.size === 0 && this.#unwritten.size === 0;
    if (this.#ended || this.#timer !== undefined || isIdle) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      const ticked = this.#turns.take(() => this.#tick()).finally(() => this.#schedule());
      ticked.catch((cause: unknown) => {
        diagnostics.notice.publish({ level: 'error', text: 'a rollout could not be looked after', cause });
      });
    }, this.#tickMs).unref();
  }

  async #tick(): Promise<void> {
    for (const record of this.#unwritten.values()) await this.#writeLater(record);
    for (const rollout of this.#running.values()) {
      if (this.#ended) return;
      await this.#step(rollout);
    }
  }

  async #step(rollout: Rollout): Promise<void> {
    this.#loadOnce(rollout);
    const decision = rollout.decide(performance.now());
    switch (decision.kind) {
      case 'wait':
        rollout.detail = decision.detail;
        break;
      case 'pause':
        rollout.detail = decision.detail;
        rollout.forgetEvidence(performance.now());
        break;
      case 'advance':
        await this.#advance(rollout, decision.stage, decision.reason);
        break;
      case 'roll_back':
        await this.#rollBack(rollout, decision.cause, decision.reason);
        break;
    }
  }

  /** Brings the new version in, where it is on disk and not loaded. */
  #loadOnce(rollout: Rollout): void {
    const { record, plan } = rollout;
    if (record.stage.kind !== 'loading' || rollout.loadsOnce) return;
    if (rollout.versionOf('from')?.state !== 'READY') return;
    const state = rollout.versionOf('to')?.state;
    if (state === 'READY' || state === 'LOADING') return;
    rollout.loadsOnce = true;
    void this.#loader.loadNew(plan.model).then(
      () => {
        if (rollout.versionOf('to') === undefined) rollout.loadProblem = 'a load of the model did not bring it';
      },
      (error: unknown) => {
        // A server that ends loads nothing, which the next one will.
        if (error instanceof InferError && error.reason === 'draining') return;
        rollout.loadProblem = messageOf(error);
      },
    );
  }

  /** R1 */
  async #advance(rollout: Rollout, stage: Stage, reason: string): Promise<void> {
    const { record, plan } = rollout;
    const noted = this.#note({ ...record, stage }, `${describeStage(stage, plan)}: ${reason}`);
    const baseline = record.stage.kind === 'shadow' ? baselineOf(rollout.observe()) : record.baselineP99Ms;
    const traffic = this.#models.trafficOf(plan.model);
    const isLoaded = record.stage.kind === 'loading' && traffic !== undefined;
    const next: RolloutRecord = {
      ...noted,
      baselineP99Ms: baseline,
      ...(isLoaded && { configured: describeTraffic(traffic.configured), digests: rollout.digests }),
    };
    try {
      await this.#write(next, (error) => error);
    } catch (error) {
      rollout.detail = `${describeStage(stage, plan)} is not begun: ${messageOf(error)}`;
      return;
    }
    this.#apply(next);
    rollout.enter(next, performance.now());
    rollout.detail = 'begun';
    if (isOver(stage)) this.#close(rollout);
  }

  /** R2 */
  async #rollBack(rollout: Rollout, cause: RollbackCause, reason: string): Promise<void> {
    const { record, plan } = rollout;
    const stage: Stage = { kind: 'rolled_back', cause, reason };
    const noted = this.#note({ ...record, stage }, `${describeStage(stage, plan)}: ${reason}`);
    const traffic = this.#models.trafficOf(plan.model);
    const configured = record.configured ?? (traffic && describeTraffic(traffic.configured));
    const next = { ...noted, configured, inForce: cause !== 'reconfigured' };
    rollout.enter(next, performance.now());
    this.#apply(next);
    this.#close(rollout);
    await this.#writeLater(next);
  }

  #close(rollout: Rollout): void {
    this.#running.delete(rollout.plan.model);
    this.#over.set(rollout.plan.model, rollout.record);
  }

  /** Spreads requests as the record says, and tells of it. */
  #apply(record: RolloutRecord): void {
    const { plan, stage, inForce } = record;
    this.#models.steer(plan.model, inForce ? steeringOf(stage, plan) : undefined);
    tell(record, record.events.at(-1)?.text ?? '');
  }

  /** What a rollout that is over left behind goes when the configuration says otherwise than it did then. */
  #heedConfigurations(): void {
    for (const [model, record] of this.#over) {
      const traffic = this.#models.trafficOf(model);
      if (!record.inForce || traffic === undefined || record.configured === undefined) continue;
      if (describeTraffic(traffic.configured) === record.configured) continue;
      const text = 'over for good: the configuration of the model spreads its requests otherwise now, and counts';
      const next = { ...this.#note(record, text), inForce: false };
      this.#over.set(model, next);
      this.#apply(next);
      void this.#turns.take(() => this.#writeLater(next));
    }
  }

  async #write(record: RolloutRecord, wrap: (error: Error) => Error): Promise<void> {
    try {
      await this.#state.write(record);
    } catch (error) {
      throw wrap(error instanceof Error ? error : new Error(String(error)));
    }
    this.#unwritten.delete(record.plan.model);
  }

  /** Never rejects: what cannot be written down now is tried again. */
  async #writeLater(record: RolloutRecord): Promise<void> {
    const { model } = record.plan;
    const isNew = this.#unwritten.get(model) !== record;
    try {
      await this.#write(record, (error) => error);
    } catch (cause) {
      this.#unwritten.set(model, record);
      if (isNew) {
        const text = `the end of the rollout of '${model}' is in force, and will be written down when it can be`;
        diagnostics.notice.publish({ level: 'error', text, cause });
      }
    }
    this.#schedule();
  }

  #note(record: RolloutRecord, text: string): RolloutRecord {
    return { ...record, events: [...record.events, { atMs: Date.now(), text }].slice(-MAX_EVENTS) };
  }

  #checkNotEnded(): void {
    if (this.#ended) throw new InferError('draining', 'the server ends: rollouts go on with the next');
  }

  #nothingOf(model: string, what: string): InferError {
    if (!this.#models.names().includes(model) && !this.#over.has(model)) return unknownModel(model);
    return new InferError('rollout_refused', `no rollout of '${model}' ${what}`);
  }
}

function tell({ plan: { model, from, to, steps }, stage }: RolloutRecord, text: string): void {
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

/** `shadow at 10 %`, `canary at 1 %`, … */
function describeStage(stage: Stage, plan: RolloutPlan): string {
  switch (stage.kind) {
    case 'loading':
      return 'loading';
    case 'shadow':
      return `shadow of ${Number((plan.shadowShare * 100).toFixed(3))} %`;
    case 'canary':
      return `canary at ${percentOf(stage, plan)} %`;
    case 'promoted':
      return 'promoted';
    case 'rolled_back':
      return `rolled back (${stage.cause})`;
  }
}

function unknownModel(model: string): InferError {
  return new InferError('model_not_found', `Request for unknown model: '${model}' is not found`);
}
