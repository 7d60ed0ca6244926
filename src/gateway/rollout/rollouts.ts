/**
 * The rollouts of a server, at most one for each model: what `decide` decides, done.
 *
 * ROLL-1: the new version gets more only after that is written down: a server that is killed takes up the step that is recorded.
 * ROLL-2: it gets less at once, and that is written down after; where it cannot be, that is tried again until it is.
 * ROLL-3: only the routing of requests changes, in memory. Both versions stay loaded, so accepted requests are answered.
 */

import { messageOf } from '../../error-message.ts';
import { Mutex } from '../../mutex.ts';
import { InferError } from '../errors.ts';
import type { ModelTable } from '../models/model-table.ts';
import { diagnostics } from '../ops/diagnostics.ts';
import type { Evidence } from './evidence.ts';
import { feedEvidence } from './evidence-feed.ts';
import { Rollout } from './rollout.ts';
import { RolloutAdmission } from './rollout-admission.ts';
import { announce } from './rollout-announcement.ts';
import { RolloutJournal } from './rollout-journal.ts';
import { describeTraffic, type RolloutRecord, withEvent } from './rollout-record.ts';
import { checkRequest, isAsAsked, type RolloutRequest } from './rollout-request.ts';
import { describeStage, isOver, type RollbackCause, type Stage, trafficOverrideOf } from './stage.ts';
import type { StateDirectory } from './state-directory.ts';
import type { VersionLoader } from './version-loader.ts';

export interface RolloutOptions {
  /** Whether models are evicted to make room for others. */
  readonly onDemand: boolean;
  /** Interval between evaluations, in milliseconds. */
  readonly tickMs?: number;
}

/** A rollout as clients see it. */
export interface RolloutView {
  readonly record: RolloutRecord;
  /** Condition that it waits for, or how it ended. */
  readonly detail: string;
  /** `undefined` for one that is over, or was never begun. */
  readonly evidence: Evidence | undefined;
}

const TICK_MS = 200;

export class Rollouts {
  readonly #models: ModelTable;
  readonly #loader: VersionLoader;
  readonly #admission: RolloutAdmission;
  readonly #journal: RolloutJournal;
  readonly #tickMs: number;
  /** One change at a time, over all models: they are few, and small. */
  readonly #mutex = new Mutex();
  readonly #running = new Map<string, Rollout>();
  /** By model: the last one that is over. */
  readonly #over = new Map<string, RolloutRecord>();
  #timer: NodeJS.Timeout | undefined;
  #ended = false;
  readonly #unsubscribe: readonly (() => void)[];

  constructor(models: ModelTable, loader: VersionLoader, state: StateDirectory, options: RolloutOptions) {
    this.#models = models;
    this.#loader = loader;
    this.#admission = new RolloutAdmission(models, loader, options.onDemand);
    this.#journal = new RolloutJournal(state);
    this.#tickMs = options.tickMs ?? TICK_MS;
    this.#unsubscribe = [models.onChange(() => this.#heedConfigurations()), feedEvidence(this.#running)];
  }

  /** Resumes recorded rollouts. Call it before models are loaded, so that their requests are routed accordingly from the start. */
  async resume(): Promise<void> {
    for (const record of await this.#journal.read()) {
      const { plan, stage } = record;
      if (record.inForce) this.#models.override(plan.model, trafficOverrideOf(stage, plan));
      if (isOver(stage)) {
        this.#over.set(plan.model, record);
        continue;
      }
      const text = `taken up again after a start of the server, at ${describeStage(stage, plan)}`;
      const resumed = withEvent(record, text);
      this.#running.set(plan.model, new Rollout(resumed, this.#models, performance.now()));
      announce(resumed, text);
    }
    this.#schedule();
  }

  /** Stops all changes; the next server resumes the recorded rollouts. */
  end(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    for (const stop of this.#unsubscribe) stop();
  }

  /**
   * Starts a rollout.
   * @returns the running rollout if it does everything requested; the finished one if it promoted the version.
   * @throws InferError `invalid_request`, `model_not_found`, `model_not_ready`, `rollout_refused`, and as `VersionLoader` does.
   */
  start(request: RolloutRequest): Promise<RolloutView> {
    checkRequest(request);
    return this.#mutex.run(async () => {
      this.#checkNotEnded();
      const known = this.#knownTo(request);
      if (known !== undefined) return this.#view(known);
      const record = await this.#admission.admit(request);
      const { model } = record.plan;
      await this.#journal.write(record).catch((error: unknown) => {
        throw new InferError('rollout_refused', `the rollout is not begun: ${messageOf(error)}`);
      });
      this.#over.delete(model);
      this.#apply(record);
      const rollout = new Rollout(record, this.#models, performance.now());
      this.#running.set(model, rollout);
      await this.#step(rollout);
      this.#schedule();
      return this.#view(model);
    });
  }

  /** The rollout that `start` would begin or return. Changes nothing. @throws InferError as `start` does. */
  rehearse(request: RolloutRequest): Promise<RolloutView> {
    checkRequest(request);
    return this.#mutex.run(async () => {
      const known = this.#knownTo(request);
      if (known !== undefined) return this.#view(known);
      const record = { ...(await this.#admission.admit(request)), events: [], inForce: false };
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
    return this.#mutex.run(async () => {
      this.#checkNotEnded();
      const rollout = this.#running.get(model);
      if (rollout === undefined) throw this.#nothingOf(model, 'runs');
      await this.#rollBack(rollout, 'aborted', 'a client requested it');
      return this.#view(model);
    });
  }

  /** Forgets a rollout that is over. @throws InferError `model_not_found`, or `rollout_refused` where there is none, or it runs. */
  forget(model: string): Promise<void> {
    return this.#mutex.run(async () => {
      this.#checkNotEnded();
      if (this.#running.has(model)) {
        throw new InferError('rollout_refused', `the rollout of '${model}' runs: abort it first`);
      }
      const record = this.#over.get(model);
      if (record === undefined) throw this.#nothingOf(model, 'is known');
      await this.#journal.remove(model).catch((error: unknown) => {
        throw new InferError('rollout_refused', `the rollout of '${model}' is not forgotten: ${messageOf(error)}`);
      });
      this.#over.delete(model);
      this.#models.override(model, undefined);
      announce(record, 'forgotten: requests are spread as the configuration says');
    });
  }

  /** The model, if its rollout already does everything requested. @throws InferError `rollout_refused` while another rollout runs. */
  #knownTo(request: RolloutRequest): string | undefined {
    const { model } = request;
    const version = this.#admission.versionOf(request);
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

  #view(model: string): RolloutView {
    const running = this.#running.get(model);
    if (running !== undefined) return { record: running.record, detail: running.detail, evidence: running.observe() };
    const record = this.#over.get(model);
    if (record === undefined) throw unknownModel(model);
    return { record, detail: record.events.at(-1)?.text ?? '', evidence: undefined };
  }

  #schedule(): void {
    const isIdle = this.#running.size === 0 && !this.#journal.hasUnwritten;
    if (this.#ended || this.#timer !== undefined || isIdle) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      const ticked = this.#mutex.run(() => this.#tick()).finally(() => this.#schedule());
      ticked.catch((cause: unknown) => {
        diagnostics.notice.publish({ level: 'error', text: 'a rollout could not be looked after', cause });
      });
    }, this.#tickMs).unref();
  }

  async #tick(): Promise<void> {
    await this.#journal.retry();
    for (const rollout of this.#running.values()) {
      if (this.#ended) return;
      await this.#step(rollout);
    }
  }

  async #step(rollout: Rollout): Promise<void> {
    rollout.loadOnce(this.#loader);
    const decision = rollout.decide(performance.now());
    switch (decision.kind) {
      case 'wait':
        rollout.wait(decision.detail);
        break;
      case 'pause':
        rollout.pause(decision.detail, performance.now());
        break;
      case 'advance':
        await this.#advance(rollout, decision.stage, decision.reason);
        break;
      case 'roll_back':
        await this.#rollBack(rollout, decision.cause, decision.reason);
        break;
    }
  }

  /** ROLL-1 */
  async #advance(rollout: Rollout, stage: Stage, reason: string): Promise<void> {
    const next = rollout.advanced(stage, reason);
    try {
      await this.#journal.write(next);
    } catch (error) {
      rollout.wait(`${describeStage(stage, rollout.plan)} is not begun: ${messageOf(error)}`);
      return;
    }
    this.#apply(next);
    rollout.enter(next, performance.now());
    if (isOver(stage)) this.#close(rollout);
  }

  /** ROLL-2 */
  async #rollBack(rollout: Rollout, cause: RollbackCause, reason: string): Promise<void> {
    const next = rollout.rolledBack(cause, reason);
    rollout.enter(next, performance.now());
    this.#apply(next);
    this.#close(rollout);
    await this.#writeEventually(next);
  }

  async #writeEventually(record: RolloutRecord): Promise<void> {
    await this.#journal.writeEventually(record);
    this.#schedule();
  }

  #close(rollout: Rollout): void {
    this.#running.delete(rollout.plan.model);
    this.#over.set(rollout.plan.model, rollout.record);
  }

  /** Routes requests as the record says, and publishes the change. */
  #apply(record: RolloutRecord): void {
    const { plan, stage, inForce } = record;
    this.#models.override(plan.model, inForce ? trafficOverrideOf(stage, plan) : undefined);
    announce(record, record.events.at(-1)?.text ?? '');
  }

  /** Drops the traffic of an ended rollout when the configuration has changed since. */
  #heedConfigurations(): void {
    for (const [model, record] of this.#over) {
      const traffic = this.#models.trafficOf(model);
      if (!record.inForce || traffic === undefined || record.configured === undefined) continue;
      if (describeTraffic(traffic.configured) === record.configured) continue;
      const text = 'over for good: the configuration of the model spreads its requests otherwise now, and counts';
      const next = { ...withEvent(record, text), inForce: false };
      this.#over.set(model, next);
      this.#apply(next);
      void this.#mutex.run(() => this.#writeEventually(next));
    }
  }

  #checkNotEnded(): void {
    if (this.#ended) throw new InferError('draining', 'the server ends: rollouts go on with the next');
  }

  #nothingOf(model: string, what: string): InferError {
    if (!this.#models.names().includes(model) && !this.#over.has(model)) return unknownModel(model);
    return new InferError('rollout_refused', `no rollout of '${model}' ${what}`);
  }
}

function unknownModel(model: string): InferError {
  return new InferError('model_not_found', `Request for unknown model: '${model}' is not found`);
}
