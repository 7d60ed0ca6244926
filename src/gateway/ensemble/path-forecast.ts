/**
 * How long the steps of an ensemble are expected to take: what a request is refused by before its first step, and what each step
 * leaves of the request's time for the steps behind it.
 *
 * A step's tensors do not exist before the steps before it have ended, so their size is taken from the latest request.
 */

import type { InferTensors } from '../admit/infer-tensors.ts';
import type { PathBehind } from '../admit/request-terms.ts';
import { type Forecast, type RequestLoad, UNKNOWN } from '../batch/forecast.ts';
import type { ModelTable } from '../model-table.ts';
import { type EnsembleGraph, neededSteps } from '../repository/ensemble-graph.ts';

/** Each request that waits asks in each decision of its model: for so many milliseconds all get the same answer, unless a step starts or ends. */
const FRESH_MS = 0.5;

/** A step as the latest request had it. */
interface Seen {
  readonly size: RequestLoad['size'];
  /** Rows of the step for each row of the ensemble's request. */
  readonly rowsPerRow: number;
}

interface Asked {
  readonly atMs: number;
  readonly change: number;
  /** By rows. */
  readonly forecasts: Map<number, Forecast>;
}

interface Step {
  /** The steps that give its inputs, and all steps that have ended when it starts. */
  readonly producers: readonly number[];
  readonly before: ReadonlySet<number>;
  /** The steps that take its outputs. */
  readonly followers: readonly number[];
  seen: Seen | undefined;
  asked: Asked;
  /** Rows of the ensemble's requests that have started this step, and have not ended it. */
  rowsInFlight: number;
}

export class PathForecast {
  readonly #graph: EnsembleGraph;
  readonly #models: Pick<ModelTable, 'find'>;
  readonly #steps: readonly Step[];
  /** How often a request has started or ended a step. */
  #changes = 0;

  constructor(graph: EnsembleGraph, models: Pick<ModelTable, 'find'>) {
    this.#graph = graph;
    this.#models = models;
    this.#steps = graph.steps.map(({ inputs }, step): Step => {
      const taken = inputs.map(({ tensor }) => tensor);
      return {
        producers: [...new Set(taken.flatMap((tensor) => graph.tensors[tensor]?.producer ?? []))],
        before: new Set(stepsOf(neededSteps(graph, taken))),
        followers: [
          ...new Set(graph.tensors.flatMap(({ producer, consumers }) => (producer === step ? consumers : []))),
        ],
        seen: undefined,
        asked: { atMs: Number.NEGATIVE_INFINITY, change: 0, forecasts: new Map() },
        rowsInFlight: 0,
      };
    });
  }

  /** A request of the ensemble starts a step. @param rows of the request */
  enter(step: number, rows: number): void {
    this.#at(step).rowsInFlight += rows;
    this.#changes++;
  }

  /** The step has ended, however it ended. */
  leave(step: number, rows: number): void {
    this.#at(step).rowsInFlight -= rows;
    this.#changes++;
  }

  /** Remembers what a step takes. @param rows of the ensemble's request */
  learn(step: number, { rows: own, size }: InferTensors, rows: number): void {
    this.#at(step).seen = { size, rowsPerRow: own / rows };
  }

  /** Rows of the ensemble's requests that make so many of a step. */
  requestRows(step: number, rows: number): number {
    return rows / (this.#at(step).seen?.rowsPerRow ?? 1);
  }

  /**
   * The steps that are not done when a step has ended.
   * @param rows of the ensemble's requests that go on together
   * @param needed by step
   */
  behind(step: number, rows: number, needed: readonly boolean[]): PathBehind {
    const { before } = this.#at(step);
    const rest = stepsOf(needed).filter((other) => other !== step && !before.has(other));
    const ownMs = this.#of(step, rows).aloneMs;
    const between = (other: number): number => this.#rowsAt(other, (at) => this.#at(at).before.has(step));
    const { ms, isIdle } = this.#walk(rest, rows, between, new Map([[step, ownMs]]));
    const runMs = this.#runsMs(rest, rows, step, ownMs);
    return { ms: Math.max(runMs, ms - ownMs), runMs, readyInMs: this.#readyInMs(step, rows, needed), isIdle };
  }

  /** All steps of a request that comes now. */
  whole(rows: number, needed: readonly boolean[]): Pick<PathBehind, 'ms' | 'isIdle'> {
    return this.#walk(stepsOf(needed), rows, (step) => this.#rowsAt(step, () => true), new Map());
  }

  /** The runs of the longest path, each of the request by itself and at once. */
  aloneMs(rows: number, needed: readonly boolean[]): number {
    return this.#longestMs(stepsOf(needed), rows, new Map());
  }

  /** The runs of the steps behind a step on devices that are free; at least their work, because they may share one. */
  #runsMs(steps: readonly number[], rows: number, step: number, ownMs: number): number {
    let workMs = 0;
    for (const other of steps) {
      const { aloneMs, parallel } = this.#of(other, rows);
      workMs += aloneMs / parallel;
    }
    return Math.max(workMs, this.#longestMs(steps, rows, new Map([[step, ownMs]])) - ownMs);
  }

  #longestMs(steps: readonly number[], rows: number, doneAtMs: Map<number, number>): number {
    const done = (step: number): number =>
      memoized(doneAtMs, step, () => {
        const producers = this.#at(step).producers.filter((other) => steps.includes(other) || doneAtMs.has(other));
        return this.#of(step, rows).aloneMs + Math.max(0, ...producers.map(done));
      });
    return Math.max(0, ...steps.map(done));
  }

  /**
   * Follows steps from now on, each after what its model has to do before. They share devices, so that together they take at least
   * the sum of their work.
   * @param ahead rows of other requests that reach a step before
   * @param doneAtMs of the steps that run already
   */
  #walk(
    steps: readonly number[],
    rows: number,
    ahead: (step: number) => number,
    doneAtMs: Map<number, number>,
  ): { readonly ms: number; readonly isIdle: boolean } {
    let workMs = Math.max(0, ...doneAtMs.values());
    let isIdle = true;
    const done = (step: number): number =>
      memoized(doneAtMs, step, () => {
        const { runningMs, waitingMs, aloneMs, parallel, isIdle: idle } = this.#of(step, rows + ahead(step));
        workMs += (runningMs + waitingMs + aloneMs) / parallel;
        isIdle &&= idle;
        const { producers } = this.#at(step);
        const arrivesMs = Math.max(
          0,
          ...producers.filter((other) => steps.includes(other) || doneAtMs.has(other)).map(done),
        );
        return Math.max(arrivesMs, runningMs + waitingMs) + aloneMs;
      });
    const ms = Math.max(0, ...steps.map(done));
    return { ms: Math.max(ms, workMs), isIdle };
  }

  /** Rows of requests that are in a step before `step`. */
  #rowsAt(step: number, counts: (before: number) => boolean): number {
    let rows = 0;
    for (const before of this.#at(step).before) if (counts(before)) rows += this.#at(before).rowsInFlight;
    return rows;
  }

  /** Until the outputs of a step are of use: its followers are busy, or what they compute is of no use before. */
  #readyInMs(from: number, rows: number, needed: readonly boolean[]): number {
    const readyInMs = new Map<number, number>();
    const ready = (step: number): number =>
      memoized(readyInMs, step, () => {
        const followers = this.#at(step).followers.filter((other) => needed[other]);
        const startsIn = followers.map((other) => {
          const { runningMs, waitingMs } = this.#of(other, rows);
          return Math.max(runningMs + waitingMs, ready(other));
        });
        return startsIn.length === 0 ? 0 : Math.min(...startsIn);
      });
    return ready(from);
  }

  #of(step: number, rows: number): Forecast {
    const at = this.#at(step);
    const now = performance.now();
    const { asked } = at;
    if (now - asked.atMs >= FRESH_MS || asked.change !== this.#changes) {
      at.asked = { atMs: now, change: this.#changes, forecasts: new Map() };
    }
    return memoized(at.asked.forecasts, rows, () => this.#ask(step, rows));
  }

  #ask(step: number, rows: number): Forecast {
    const { seen } = this.#at(step);
    const target = this.#graph.steps[step];
    if (seen === undefined || target === undefined) return UNKNOWN;
    try {
      const { batcher } = this.#models.find(target.model, target.version).ready;
      return batcher.forecast({ size: seen.size, rows: Math.max(1, Math.round(rows * seen.rowsPerRow)) });
    } catch {
      // The step says what is the matter with its model when it starts.
      return UNKNOWN;
    }
  }

  #at(step: number): Step {
    const at = this.#steps[step];
    if (at === undefined) throw new TypeError(`no step ${step}`);
    return at;
  }
}

function stepsOf(needed: readonly boolean[]): number[] {
  return needed.flatMap((isNeeded, step) => (isNeeded ? [step] : []));
}

function memoized<V>(values: Map<number, V>, key: number, compute: () => V): V {
  const known = values.get(key);
  if (known !== undefined) return known;
  const value = compute();
  values.set(key, value);
  return value;
}
