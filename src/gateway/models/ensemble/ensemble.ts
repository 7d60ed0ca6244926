/** An ensemble: a graph of other models, which answers under a name of its own. */

import { Bag } from '../../../bag.ts';
import { messageOf } from '../../../error-message.ts';
import type { Call } from '../../accept/call.ts';
import type { Admission } from '../../admit/admission.ts';
import type { InferTensors } from '../../admit/infer-tensors.ts';
import { axisOf } from '../../admit/infer-tensors.ts';
import type { RequestTerms } from '../../admit/request-terms.ts';
import type { Batcher, WantedTensor } from '../../batch/batcher.ts';
import { type Forecast, type RequestSize, UNKNOWN } from '../../batch/forecast.ts';
import type { InferOutputs } from '../../batch/queued-request.ts';
import { InferError, withJitter } from '../../errors.ts';
import { diagnostics, type ModelRef, type ModelState } from '../../ops/diagnostics.ts';
import type { ModelConfig } from '../../repository/config/model-config.ts';
import { type ModelFiles, NO_FILES, readModelFiles } from '../../repository/model-files.ts';
import { type EnsembleGraph, nameOfStep, readEnsembleGraph } from '../../repository/signature/ensemble-graph.ts';
import { resolveEnsemble } from '../../repository/signature/ensemble-signature.ts';
import type { ModelSignature } from '../../repository/signature/model-signature.ts';
import { checkCallable } from '../message-needs.ts';
import { ModelStatistics } from '../model-statistics.ts';
import type { ModelTable } from '../model-table.ts';
import type { ModelPlan } from '../planned-version.ts';
import type { Servable, Served } from '../servable.ts';
import { EnsembleRun } from './ensemble-run.ts';
import { PathForecast } from './path-forecast.ts';

export interface EnsembleDependencies {
  /** Where its steps look up their models, for every request. */
  readonly models: Pick<ModelTable, 'find' | 'onChange'>;
  /** Where tensors between steps take room. */
  readonly admission: Admission;
}

/** State of the ensemble, which follows from the models of its steps. */
type Condition =
  | { readonly state: 'READY'; readonly detail: string; readonly signature: ModelSignature }
  /** A step waits for its next runner, and requests wait with it. */
  | {
      readonly state: 'UNAVAILABLE';
      readonly detail: string;
      readonly signature: ModelSignature;
      readonly down: Servable;
    }
  | { readonly state: 'LOADING' | 'UNAVAILABLE'; readonly detail: string; readonly signature?: undefined };

/** A refused caller comes back after about this long. */
const PUSHBACK_MS = 50;

/**
 * An ensemble has no instances: each step is a request in the queue of its model, batched with other requests. So it is ready
 * exactly while its graph fits ready models, which it checks whenever one of them changes.
 */
export class Ensemble implements Servable, Batcher {
  readonly ref: ModelRef;
  readonly config: ModelConfig;
  readonly platform = 'ensemble';
  readonly statistics = new ModelStatistics();
  readonly pid = undefined;
  readonly modelPaths = [];
  readonly placements = [];
  readonly breaker = 'closed';
  /** Always 0: requests wait in the queues of the steps' models, and are counted there. */
  readonly queuedRequests = 0;
  readonly queuedRows = 0;
  readonly plan: ModelPlan;
  readonly #dependencies: EnsembleDependencies;
  readonly #runs = new Bag<EnsembleRun>();
  /** Who waits until nothing is in flight. */
  readonly #drainWaiters: (() => void)[] = [];
  #files: ModelFiles = NO_FILES;
  #graph: EnsembleGraph | undefined;
  #forecast: PathForecast | undefined;
  #condition: Condition = { state: 'LOADING', detail: 'loading' };
  #served: Served | undefined;
  #subscriptions: readonly (() => void)[] = [];

  constructor(plan: ModelPlan, dependencies: EnsembleDependencies) {
    this.ref = plan.ref;
    this.config = plan.config;
    this.plan = plan;
    this.#dependencies = dependencies;
  }

  get state(): ModelState {
    return this.#condition.state;
  }

  get detail(): string {
    // Whether the step is about to come back changes with time.
    return 'down' in this.#condition ? stateOf(this.#condition.down) : this.#condition.detail;
  }

  get isDown(): boolean {
    return this.state === 'UNAVAILABLE' && this.#served !== undefined;
  }

  get ready(): Served {
    if (this.#served !== undefined) return this.#served;
    const text = `model '${this.ref.name}' version ${this.ref.version} is not at ready state: ${this.detail}`;
    throw new InferError('model_not_ready', text);
  }

  /** Requests that are on their way through the graph. */
  get inFlight(): number {
    return this.#runs.size;
  }

  /** Does not wait for the models of its steps: where they are not there yet, it becomes READY when they are. */
  async load(): Promise<void> {
    try {
      if (this.plan.problem !== undefined) throw new Error(this.plan.problem);
      const hasLabels = this.config.output.some(({ label_filename }) => label_filename !== undefined);
      if (hasLabels) this.#files = await readModelFiles(this.plan.directory, this.config);
      const graph = readEnsembleGraph(this.config);
      const names = new Set(graph.steps.map(({ model }) => model));
      this.#graph = graph;
      this.#forecast = new PathForecast(graph, this.#dependencies.models);
      this.close();
      this.#subscriptions = [
        this.#dependencies.models.onChange(() => this.#review()),
        diagnostics.modelChanged.subscribe(({ model }) => {
          if (names.has(model.name) && !isSame(model, this.ref)) this.#review();
        }),
      ];
      this.#review();
    } catch (error) {
      this.#become({ state: 'UNAVAILABLE', detail: messageOf(error) });
    }
  }

  /** @throws InferError `queue_full` at once; later whatever ends a step, under the step's own reason. */
  async enqueue(
    tensors: InferTensors,
    call: Call,
    terms: RequestTerms,
    wanted?: readonly WantedTensor[],
  ): Promise<InferOutputs> {
    const limit = this.config.tensorgate.max_ensemble_requests;
    if (this.#runs.size >= limit) {
      const text = `ensemble '${this.ref.name}' has as many requests in flight as it may: ${limit} (tensorgate.max_ensemble_requests)`;
      throw new InferError('queue_full', text, { pushback: withJitter(PUSHBACK_MS) });
    }
    const { signature } = this.ready;
    const graph = this.#graph;
    const forecast = this.#forecast;
    if (graph === undefined || forecast === undefined) throw new TypeError('an ensemble that is ready has a graph');
    const place = {
      ...this.#dependencies,
      name: this.ref.name,
      graph,
      signature,
      forecast,
      objectiveMs: this.plan.objectiveMs,
    };
    const run = new EnsembleRun(place, { tensors, call, terms, wanted });
    this.#runs.add(run);
    try {
      const outputs = await run.answer;
      this.statistics.recordRun(tensors.rows, outputs.timing);
      return outputs;
    } finally {
      this.#runs.delete(run);
      if (this.#runs.size === 0) for (const resolve of this.#drainWaiters.splice(0)) resolve();
    }
  }

  /** It has no queue: all of the time of its steps is charged as a run. */
  forecast({ rows }: RequestSize): Forecast {
    const forecast = this.#forecast;
    if (forecast === undefined) return UNKNOWN;
    const all = this.#graph?.steps.map(() => true) ?? [];
    const { ms, isIdle } = forecast.whole(rows, all);
    return { ...UNKNOWN, aloneMs: ms, isIdle };
  }

  abandon(error: InferError): void {
    for (const run of [...this.#runs]) run.abandon(error);
  }

  drained(): Promise<void> {
    if (this.#runs.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#drainWaiters.push(resolve));
  }

  close(): void {
    for (const unsubscribe of this.#subscriptions) unsubscribe();
  }

  #review(): void {
    try {
      this.#become(this.#examine());
    } catch (error) {
      this.#become({ state: 'UNAVAILABLE', detail: messageOf(error) });
    }
  }

  /** @throws Error with the reason why it cannot serve. */
  #examine(): Condition {
    const graph = this.#graph;
    if (graph === undefined) throw new TypeError('it is examined before its graph is read');
    const models = graph.steps.map(({ model, version }, step) => {
      try {
        return this.#dependencies.models.find(model, version);
      } catch (error) {
        throw new Error(`${nameOfStep(graph, step)}: ${messageOf(error)}`);
      }
    });
    const circle = this.#circleThrough(this, []);
    if (circle !== undefined) throw new Error(`ensembles are steps of each other: ${circle.join(' -> ')}`);
    const gone = models.find(({ state, isDown }) => state !== 'READY' && state !== 'LOADING' && !isDown);
    if (gone !== undefined) throw new Error(stateOf(gone));
    const loading = models.find(({ state }) => state === 'LOADING');
    if (loading !== undefined) return { state: 'LOADING', detail: stateOf(loading) };
    const signatures = models.map((model) => model.ready.signature);
    const signature = resolveEnsemble(this.config, graph, signatures, this.#files);
    checkCallable(this.ref.name, signature, this.plan);
    const down = models.find(({ state }) => state !== 'READY');
    if (down !== undefined) {
      return { state: 'UNAVAILABLE', detail: stateOf(down), signature, down };
    }
    const steps = graph.steps.map((_, step) => nameOfStep(graph, step));
    return { state: 'READY', detail: `ensemble of ${steps.join(', ')}`, signature };
  }

  /** The way from this ensemble over ensembles that are its steps back to itself. */
  #circleThrough(ensemble: Servable, trail: readonly Servable[]): string[] | undefined {
    const start = trail.findIndex(({ ref }) => isSame(ref, ensemble.ref));
    if (start >= 0) return [...trail.slice(start), ensemble].map(({ ref }) => `'${ref.name}'`);
    for (const { model_name: name, model_version: version } of ensemble.config.ensemble_scheduling?.step ?? []) {
      const step = this.#find(name, version === -1 ? '' : String(version));
      const circle = step && this.#circleThrough(step, [...trail, ensemble]);
      if (circle !== undefined) return circle;
    }
    return undefined;
  }

  /** A missing step of a step is reported by that step. */
  #find(name: string, version: string): Servable | undefined {
    try {
      return this.#dependencies.models.find(name, version);
    } catch {
      return undefined;
    }
  }

  #become(condition: Condition): void {
    const { state, detail } = this.#condition;
    this.#condition = condition;
    this.#served =
      condition.signature !== undefined
        ? { signature: condition.signature, axis: axisOf(condition.signature.batching), batcher: this }
        : undefined;
    if (state === condition.state && detail === condition.detail) return;
    diagnostics.modelChanged.publish({ model: this.ref, state: condition.state, detail: condition.detail });
  }
}

function isSame(one: ModelRef, other: ModelRef): boolean {
  return one.name === other.name && one.version === other.version;
}

function stateOf({ ref, state, detail }: Servable): string {
  return `model '${ref.name}' version ${ref.version} is ${state}: ${detail}`;
}
