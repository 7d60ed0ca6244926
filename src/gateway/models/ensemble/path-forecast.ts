/**
 * How long the steps of an ensemble are expected to take: what a request is refused by before its first step, and what each step
 * leaves of the request's time for the steps behind it.
 *
 * A step's tensors do not exist before the steps before it have ended, so their size is taken from the latest request.
 */

import { type InferTensors, UNIT_ROW } from '../../admit/infer-tensors.ts';
import type { PathBehind } from '../../admit/request-terms.ts';
import { type Forecast, type RequestSize, type SharedDevice, UNKNOWN } from '../../batch/forecast.ts';
import type { EnsembleGraph } from '../../repository/signature/ensemble-graph.ts';
import type { ModelTable } from '../model-table.ts';
import type { StepPlace } from './ready-steps.ts';
import { type EnsembleProgress, StepsInFlight } from './steps-in-flight.ts';

/** Each request that waits asks in each decision of its model: for so many milliseconds all get the same answer, unless a step starts or ends. */
const FRESH_MS = 0.5;

/** Requests that meet in the queues are to go one way, although costs that are nearly equal change places with each run. */
const RANKED_FOR_MS = 10_000;

const NO_STEPS: ReadonlySet<number> = new Set();

/** A step as the latest request had it. */
interface Seen {
  readonly size: RequestSize['size'];
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
  /** The steps that give its inputs. */
  readonly producers: readonly number[];
  /** The steps that take its outputs. */
  readonly followers: readonly number[];
  seen: Seen | undefined;
  asked: Asked;
}

export class PathForecast {
  readonly #graph: EnsembleGraph;
  readonly #models: Pick<ModelTable, 'find'>;
  readonly #steps: readonly Step[];
  readonly #inFlight: StepsInFlight;
  readonly #ranksMs = new Map<number, number>();
  #rankedAtMs = Number.NEGATIVE_INFINITY;

  constructor(graph: EnsembleGraph, models: Pick<ModelTable, 'find'>) {
    this.#graph = graph;
    this.#models = models;
    this.#inFlight = new StepsInFlight(graph.steps.length);
    this.#steps = graph.steps.map(({ inputs }, step): Step => {
      const taken = inputs.map(({ tensor }) => tensor);
      return {
        producers: [...new Set(taken.flatMap((tensor) => graph.tensors[tensor]?.producer ?? []))],
        followers: [
          ...new Set(graph.tensors.flatMap(({ producer, consumers }) => (producer === step ? consumers : []))),
        ],
        seen: undefined,
        asked: { atMs: Number.NEGATIVE_INFINITY, change: 0, forecasts: new Map() },
      };
    });
  }

  /** A request is on its way. @param needed by step */
  enter(rows: number, needed: readonly boolean[]): EnsembleProgress {
    return this.#inFlight.enter(rows, needed);
  }

  /** Where a step runs, whether it has been seen or not. */
  place(step: number): StepPlace {
    const { model = '', version = '' } = this.#graph.steps[step] ?? {};
    const { device, parallel } = this.#of(step, 1);
    return { model: `${model}/${version}`, device, parallel };
  }

  /** The runs of the longest path from the start of a step to the last output, once all steps have run; otherwise 0. */
  rankMs(step: number): number {
    const now = performance.now();
    if (now - this.#rankedAtMs >= RANKED_FOR_MS) {
      if (this.#steps.some(({ seen }) => seen === undefined)) return 0;
      this.#rankedAtMs = now;
      this.#ranksMs.clear();
    }
    return memoized(this.#ranksMs, step, () => {
      const followers = this.#at(step).followers.map((other) => this.rankMs(other));
      return this.#of(step, 1).aloneMs + Math.max(0, ...followers);
    });
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
   * @param unended by step
   * @param heldBack the steps that may start when it has ended
   */
  behind(
    step: number,
    rows: number,
    unended: readonly boolean[],
    heldBack: ReadonlySet<number> = NO_STEPS,
  ): PathBehind {
    const rest = stepsOf(unended).filter((other) => other !== step);
    const ownMs = this.#of(step, rows).aloneMs;
    const between = (other: number): number => this.#inFlight.between(step, other);
    const { ms, isIdle } = this.#walk(rest, rows, between, new Map([[step, ownMs]]));
    const runMs = this.#runsMs(rest, rows, new Map([[step, ownMs]]));
    return {
      ms: Math.max(runMs, ms - ownMs),
      runMs,
      readyInMs: Math.max(this.#readyInMs(step, rows, unended, heldBack), this.#heldUpMs(step, rows, rest)),
      isIdle,
    };
  }

  /** All steps of a request that comes now. */
  whole(rows: number, needed: readonly boolean[]): Pick<PathBehind, 'ms' | 'isIdle'> {
    return this.#walk(stepsOf(needed), rows, (step) => this.#inFlight.toCome(step), new Map());
  }

  /** The runs of the longest path, each of the request by itself and at once; on each device at least its work. */
  aloneMs(rows: number, needed: readonly boolean[]): number {
    return this.#runsMs(stepsOf(needed), rows, new Map());
  }

  /** The runs of steps that follow those that are done, on devices that are free; on each device at least their work. */
  #runsMs(steps: readonly number[], rows: number, doneAtMs: Map<number, number>): number {
    const beforeMs = Math.max(0, ...doneAtMs.values());
    const work = new DeviceWork();
    for (const other of steps) {
      const forecast = this.#of(other, rows);
      work.add(forecast, forecast.aloneMs);
    }
    return Math.max(work.longestMs, this.#longestMs(steps, rows, doneAtMs) - beforeMs);
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
   * Follows steps from now on, each after what its model has to do before. Those that share a device take at least the sum of their
   * work on it.
   * @param ahead rows of other requests that reach a step before
   * @param doneAtMs of the steps that run already
   */
  #walk(
    steps: readonly number[],
    rows: number,
    ahead: (step: number) => number,
    doneAtMs: Map<number, number>,
  ): { readonly ms: number; readonly isIdle: boolean } {
    const work = new DeviceWork();
    for (const [step, ms] of doneAtMs) work.add(this.#of(step, rows), ms);
    let isIdle = true;
    const done = (step: number): number =>
      memoized(doneAtMs, step, () => {
        const forecast = this.#of(step, rows + ahead(step));
        const { runningMs, waitingMs, aloneMs } = forecast;
        work.add(forecast, runningMs + waitingMs + aloneMs);
        isIdle &&= forecast.isIdle;
        const { producers } = this.#at(step);
        const arrivesMs = Math.max(
          0,
          ...producers.filter((other) => steps.includes(other) || doneAtMs.has(other)).map(done),
        );
        return Math.max(arrivesMs, runningMs + waitingMs) + aloneMs;
      });
    const ms = Math.max(0, ...steps.map(done));
    return { ms: Math.max(ms, work.longestMs), isIdle };
  }

  /** Until the end of a step is of use: what starts then is busy, or what that computes is of no use before. */
  #readyInMs(from: number, rows: number, unended: readonly boolean[], heldBack: ReadonlySet<number>): number {
    const readyInMs = new Map<number, number>();
    const ready = (step: number): number =>
      memoized(readyInMs, step, () => {
        const followers = this.#at(step).followers.filter((other) => unended[other]);
        const next = step === from ? this.#startable(step, followers, unended, heldBack) : followers;
        const startsIn = next.map((other) => {
          const { runningMs, waitingMs } = this.#of(other, rows);
          return Math.max(runningMs + waitingMs, ready(other));
        });
        return startsIn.length === 0 ? 0 : Math.min(...startsIn);
      });
    return ready(from);
  }

  /**
   * Until the steps behind have done what the ensemble's own requests gave them on the device of a step, where they cannot run beside
   * it. While it runs they do nothing, so its run counts as well.
   */
  #heldUpMs(step: number, rows: number, rest: readonly number[]): number {
    const own = this.#of(step, rows);
    let heldUpMs = 0;
    for (const other of rest) {
      if (this.#inFlight.inStep(other) === 0) continue;
      const { device, parallel, runningMs, waitingMs } = this.#of(other, rows);
      if (device === undefined || device !== own.device || 1 / parallel + 1 / own.parallel <= 1) continue;
      heldUpMs = Math.max(heldUpMs, runningMs + waitingMs);
    }
    return heldUpMs === 0 ? 0 : heldUpMs + own.aloneMs;
  }

  /** The steps that can start when a step ends; all that follow it where they wait for others as well. */
  #startable(
    step: number,
    followers: readonly number[],
    unended: readonly boolean[],
    heldBack: ReadonlySet<number>,
  ): readonly number[] {
    const complete = followers.filter((other) =>
      this.#at(other).producers.every((producer) => producer === step || !unended[producer]),
    );
    const next = [...complete, ...heldBack];
    return next.length === 0 ? followers : next;
  }

  #of(step: number, rows: number): Forecast {
    const at = this.#at(step);
    const now = performance.now();
    const { asked } = at;
    if (now - asked.atMs >= FRESH_MS || asked.change !== this.#inFlight.changes) {
      at.asked = { atMs: now, change: this.#inFlight.changes, forecasts: new Map() };
    }
    return memoized(at.asked.forecasts, rows, () => this.#ask(step, rows));
  }

  #ask(step: number, rows: number): Forecast {
    const { seen } = this.#at(step);
    const target = this.#graph.steps[step];
    if (target === undefined) return UNKNOWN;
    try {
      const { batcher } = this.#models.find(target.model, target.version).ready;
      if (seen === undefined) {
        const { device, parallel } = batcher.forecast({ size: UNIT_ROW, rows: 1 });
        return { ...UNKNOWN, device, parallel };
      }
      return batcher.forecast({ size: seen.size, rows: Math.max(1, Math.round(rows * seen.rowsPerRow)) });
    } catch {
      // The step reports the problem of its model when it starts.
      return UNKNOWN;
    }
  }

  #at(step: number): Step {
    const at = this.#steps[step];
    if (at === undefined) throw new TypeError(`no step ${step}`);
    return at;
  }
}

class DeviceWork {
  readonly #ms = new Map<SharedDevice, number>();

  add({ device, parallel }: Forecast, ms: number): void {
    if (device !== undefined) this.#ms.set(device, (this.#ms.get(device) ?? 0) + ms / parallel);
  }

  get longestMs(): number {
    return Math.max(0, ...this.#ms.values());
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
