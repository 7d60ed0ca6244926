/**
 * One request on its way through the graph of an ensemble.
 *
 * ENS-1: it settles exactly once. After that no step starts, none that waits goes on waiting, and no room is taken any more.
 * ENS-2: a step starts as soon as its last input is there and its device takes one more step of this request. It starts only if a
 *     wanted output needs it. Steps beside each other on a device of one core run one after the other.
 * ENS-3: until it settles, a model has at least one of its steps, or the inputs of a step are being checked. Both end with the call,
 *     so the request ends with them.
 * ENS-4: a tensor between two steps takes room from when it is there until the last step that takes it has ended.
 * ENS-5: a request that its steps are not expected to answer in time is refused before the first of them starts. Steps that share a
 *     device count one after the other.
 */

import type { Call, CancelReason } from '../../accept/call.ts';
import { DerivedCall } from '../../accept/derived-call.ts';
import { limit, reject, resolve, type Waiter, watch } from '../../accept/waiter.ts';
import type { InferTensors } from '../../admit/infer-tensors.ts';
import { isLarge } from '../../admit/large-inputs.ts';
import { readInputs } from '../../admit/large-request.ts';
import type { PathBehind, RequestTerms } from '../../admit/request-terms.ts';
import { validate } from '../../admit/validate.ts';
import { admissionSlack } from '../../batch/admission-slack.ts';
import type { WantedTensor } from '../../batch/batcher.ts';
import { defaultObjectiveMs } from '../../batch/objective.ts';
import type { InferOutputs } from '../../batch/queued-request.ts';
import { cannotMeetDeadline, overloaded } from '../../batch/refusals.ts';
import { InferError } from '../../errors.ts';
import { InferenceRecord } from '../../inference-record.ts';
import { type EnsembleGraph, type EnsembleStep, nameOfStep } from '../../repository/signature/ensemble-graph.ts';
import type { ModelTable } from '../model-table.ts';
import type { PathForecast } from './path-forecast.ts';
import { ReadySteps } from './ready-steps.ts';
import { StepTensors, type StepTensorsOptions } from './step-tensors.ts';
import type { EnsembleProgress } from './steps-in-flight.ts';

export interface EnsembleRunDependencies extends StepTensorsOptions {
  readonly models: Pick<ModelTable, 'find'>;
  readonly forecast: PathForecast;
  /** `objective_ms`; by default it follows from what its steps take. */
  readonly objectiveMs?: number | undefined;
}

export interface EnsembleRequest {
  /** Validated values of the ensemble's inputs. */
  readonly tensors: InferTensors;
  readonly call: Call;
  readonly terms: RequestTerms;
  /** `undefined`: all outputs. */
  readonly wanted: readonly WantedTensor[] | undefined;
}

/** Steps bring no message of their own. */
const NO_MESSAGE = new Uint8Array(0);

export class EnsembleRun {
  /**
   * The wanted outputs, as views of the steps' answers. As in Triton's statistics, the three durations of computing are the
   * sums of the steps', and the wait is none: an ensemble has no queue, its steps' models have. Rejects with an InferError.
   */
  readonly answer: Promise<InferOutputs>;
  readonly #dependencies: EnsembleRunDependencies;
  readonly #call: Call;
  readonly #terms: RequestTerms;
  readonly #rows: number;
  readonly #deadline: number;
  /** When the request should be answered, where its caller named no time; infinite otherwise. */
  readonly #objectiveAt: number;
  readonly #tensors: StepTensors;
  readonly #ready: ReadySteps;
  readonly #running = new Set<DerivedCall>();
  /** `undefined` until its first steps start. */
  #progress: EnsembleProgress | undefined;
  /** Needed steps that have not started, and that have not ended. */
  #unstarted = 0;
  #unended = 0;
  readonly #timing = { queueMs: 0, inputMs: 0, computeMs: 0, outputMs: 0, batchRows: 0 };
  #hasRun = false;
  readonly #waiter: Waiter<InferOutputs>;

  /** Starts the steps that need nothing but the request's own inputs. */
  constructor(dependencies: EnsembleRunDependencies, { tensors, call, terms, wanted }: EnsembleRequest) {
    const { graph } = dependencies;
    const now = performance.now();
    this.#dependencies = dependencies;
    this.#call = call;
    // One deadline for all steps: what a step has used up, the next ones no longer have.
    this.#deadline = Math.min(call.deadline, now + (terms.timeoutMs ?? Number.POSITIVE_INFINITY));
    // An answer of a step is none of the ensemble.
    this.#terms = { ...terms, timeoutMs: undefined, send: undefined };
    this.#rows = tensors.rows;
    this.#timing.batchRows = tensors.rows;
    const outputs = graph.outputs.filter((tensor) => isWanted(graph, tensor, wanted));
    this.#tensors = new StepTensors(dependencies, tensors, outputs);
    const { needed } = this.#tensors;
    this.#objectiveAt = this.#objectiveOf(call, terms, now);
    this.#ready = new ReadySteps({
      place: (step) => dependencies.forecast.place(step),
      rankMs: (step) => dependencies.forecast.rankMs(step),
    });
    this.#unended = needed.filter(Boolean).length;
    this.#unstarted = this.#unended;
    const { promise, resolve, reject } = Promise.withResolvers<InferOutputs>();
    this.answer = promise;
    this.#waiter = { call, settled: false, timer: undefined, resolve, reject };
    watch(this.#waiter, this.#cancel);
    limit(this.#waiter, this.#deadline - now, now, this.#cancel);
    const refusal = this.#refusal(now);
    if (this.#unended === 0) this.#succeed();
    else if (refusal !== undefined) this.#fail(refusal);
    else {
      this.#progress = dependencies.forecast.enter(this.#rows, needed);
      this.#start(this.#tensors.firstSteps());
    }
  }

  get #unendedSteps(): readonly boolean[] {
    return this.#progress?.unended ?? this.#tensors.needed;
  }

  /** Fails the request if steps of it are still to start. One whose last steps are in the hands of their models is left to them. */
  abandon(error: InferError): void {
    if (this.#unstarted > 0) this.#fail(error);
  }

  #objectiveOf(call: Call, { timeoutMs, objectiveAt }: RequestTerms, now: number): number {
    if (call.namesDeadline || timeoutMs !== undefined) return Number.POSITIVE_INFINITY;
    const { forecast, objectiveMs } = this.#dependencies;
    return (
      objectiveAt ?? now + (objectiveMs ?? defaultObjectiveMs(0, forecast.aloneMs(this.#rows, this.#tensors.needed)))
    );
  }

  /** ENS-5 */
  #refusal(now: number): InferError | undefined {
    const { name, forecast } = this.#dependencies;
    const whole = forecast.whole(this.#rows, this.#tensors.needed);
    if (whole.isIdle) return undefined;
    const times = { latestAt: this.#deadline - this.#call.wayBackMs, objectiveAt: this.#objectiveAt };
    const leftMs = Math.min(times.latestAt, times.objectiveAt) - now - (this.#terms.behind?.(this.#rows).ms ?? 0);
    if (whole.ms <= admissionSlack(times) * leftMs) return undefined;
    const aloneMs = forecast.aloneMs(this.#rows, this.#tensors.needed);
    const waitMs = Math.max(0, whole.ms - aloneMs);
    const error =
      this.#objectiveAt < this.#deadline ? overloaded(waitMs, leftMs) : cannotMeetDeadline(waitMs, aloneMs, leftMs);
    return at(`in ensemble '${name}'`, error);
  }

  readonly #cancel = (_: Waiter<InferOutputs>, reason: CancelReason): void => {
    // ENS-3: the first of them fails the request, and says where it was.
    for (const call of [...this.#running]) call.cancel(reason);
  };

  #start(arrived: readonly number[]): void {
    this.#ready.add(arrived);
    for (const step of this.#ready.take()) if (!this.#waiter.settled) void this.#run(step);
  }

  /** One step from its start to its end. Never rejects. */
  async #run(index: number): Promise<void> {
    const { name, graph, models } = this.#dependencies;
    const step = graph.steps[index];
    if (step === undefined) throw new TypeError(`no step ${index}`);
    this.#unstarted--;
    this.#progress?.start(index);
    const call = new DerivedCall(this.#call, this.#deadline, name);
    const record = new InferenceRecord(NO_MESSAGE, call);
    this.#running.add(call);
    let answer: InferOutputs;
    try {
      const request = this.#tensors.requestOf(step);
      record.request = request;
      record.requestId = request.id;
      const known = models.find(step.model, step.version, call).ready.signature;
      const values = isLarge(request) ? await readInputs(request, call, known) : undefined;
      const model = models.find(step.model, step.version, call);
      record.model = model;
      const { signature, batcher } = model.ready;
      const tensors = validate(request, signature, values);
      record.rows = tensors.rows;
      this.#dependencies.forecast.learn(index, tensors, this.#rows);
      answer = await batcher.enqueue(tensors, call, this.#termsOf(index), step.outputs);
    } catch (thrown) {
      this.#left(index, call);
      this.#fail(this.#failureOf(index, record.failed(thrown)));
      return;
    }
    this.#left(index, call);
    this.#hasRun = true;
    record.answered({ chunks: [], timing: answer.timing });
    this.#call.onStep?.({ model: step.model, outputs: answer.outputs });
    if (!this.#waiter.settled) this.#end(index, step, answer);
  }

  #left(step: number, call: DerivedCall): void {
    this.#running.delete(call);
    this.#progress?.end(step);
    this.#ready.end(step);
  }

  #termsOf(step: number): RequestTerms {
    const { forecast } = this.#dependencies;
    const outer = this.#terms.behind;
    const behind = (rows: number): PathBehind => {
      const all = forecast.requestRows(step, rows);
      const own = forecast.behind(step, all, this.#unendedSteps, this.#ready.waiting);
      const then = outer?.(all);
      if (then === undefined) return own;
      return {
        ms: own.ms + then.ms,
        runMs: own.runMs + then.runMs,
        readyInMs: own.readyInMs,
        isIdle: own.isIdle && then.isIdle,
      };
    };
    // A request whose first steps have run is not dropped for the objective.
    const objectiveAt = this.#hasRun ? Number.POSITIVE_INFINITY : this.#objectiveAt;
    return { ...this.#terms, behind, objectiveAt };
  }

  #end(index: number, step: EnsembleStep, { outputs, timing }: InferOutputs): void {
    this.#timing.inputMs += timing.inputMs;
    this.#timing.computeMs += timing.computeMs;
    this.#timing.outputMs += timing.outputMs;
    try {
      this.#tensors.exchange(step, outputs);
    } catch (thrown) {
      this.#fail(this.#failureOf(index, InferError.from(thrown)));
      return;
    }
    this.#unended--;
    if (this.#unended === 0) this.#succeed();
    else this.#start(this.#tensors.arrive(step.outputs.map(({ tensor }) => tensor)));
  }

  #succeed(): void {
    resolve(this.#waiter, { outputs: this.#tensors.answer(), timing: this.#timing });
    this.#leave();
  }

  #fail(error: InferError): void {
    if (!reject(this.#waiter, error)) return;
    this.#leave();
    for (const call of [...this.#running]) call.cancel('client');
  }

  /** ENS-1 */
  #leave(): void {
    this.#progress?.leave();
    this.#tensors.releaseAll();
  }

  /** The step's own reason, with Triton's beginning of the text. */
  #failureOf(step: number, error: InferError): InferError {
    const { name, graph } = this.#dependencies;
    return at(`in ensemble '${name}', ${nameOfStep(graph, step)}`, error);
  }
}

function at(place: string, { reason, message, cause, pushback }: InferError): InferError {
  return new InferError(reason, `${place}: ${message}`, { cause, ...(pushback !== undefined && { pushback }) });
}

function isWanted({ tensors }: EnsembleGraph, tensor: number, wanted: EnsembleRequest['wanted']): boolean {
  return wanted === undefined || wanted.some(({ spec }) => spec.name === tensors[tensor]?.name);
}
