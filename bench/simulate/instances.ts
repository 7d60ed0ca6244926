/** Instances of a model that compute nothing: a run only takes as long as its cost says. */

import type { Call } from '../../src/gateway/accept/call.ts';
import type { Batch } from '../../src/gateway/batch/batch.ts';
import type { Executor } from '../../src/gateway/batch/executor.ts';
import type { Gate } from '../../src/gateway/batch/gate.ts';
import type { OutputTensor } from '../../src/gateway/batch/queued-request.ts';
import type { RunOutcome } from '../../src/worker/run-outcome.ts';
import { Cores } from './cores.ts';
import { lognormal, type Random, seeded } from './random.ts';
import type { VirtualClock } from './virtual-clock.ts';

/** Milliseconds of a core that a batch needs which starts at `nowMs`. */
export type Cost = (batch: Batch, nowMs: number) => number;

export interface InstancesOptions {
  readonly cost: Cost;
  readonly instances?: number;
  /** Standard deviation of the logarithm of a run's time. */
  readonly noise?: number;
  readonly seed?: number;
  /** Cores that other models may share; by default each instance has its own. */
  readonly cores?: Cores;
  /** Outputs of a batch; by default none. */
  readonly outputs?: (batch: Batch) => readonly OutputTensor[];
}

/** One run, as it went. */
export interface RunRecord {
  readonly startMs: number;
  readonly endMs: number;
  readonly rows: number;
  readonly workMs: number;
  /** The calls of its clients. */
  readonly calls: readonly Call[];
}

export class SimulatedInstances implements Executor {
  readonly instances: number;
  readonly gate: Gate = { kind: 'closed' };
  readonly runs: RunRecord[] = [];
  idle: number;
  readonly #clock: VirtualClock;
  readonly #options: InstancesOptions;
  readonly #cores: Cores;
  readonly #random: Random;

  constructor(clock: VirtualClock, options: InstancesOptions) {
    this.#clock = clock;
    this.#options = options;
    this.instances = options.instances ?? 1;
    this.idle = this.instances;
    this.#cores = options.cores ?? new Cores(clock);
    this.#random = seeded(options.seed ?? 7);
  }

  run(batch: Batch): Promise<RunOutcome> {
    this.idle--;
    const startMs = this.#clock.now;
    const workMs = this.#options.cost(batch, startMs) * lognormal(this.#options.noise ?? 0, this.#random);
    const calls = batch.requests.map(({ call }) => call.step?.of ?? call);
    return new Promise((resolve) => {
      this.#cores.start(workMs, () => {
        this.idle++;
        const endMs = this.#clock.now;
        this.runs.push({ startMs, endMs, rows: batch.rows, workMs, calls });
        const outputs = this.#options.outputs?.(batch) ?? [];
        resolve({ kind: 'ok', outputs, inputMs: 0, computeMs: endMs - startMs, outputMs: 0 });
      });
    });
  }

  /** Mean rows of a run. */
  get meanRows(): number {
    return this.runs.reduce((sum, { rows }) => sum + rows, 0) / this.runs.length;
  }
}

/** Share of the computing time that went to requests for which `isAnswered` is false: by rows, where a run has several. */
export function lateWork(runs: readonly RunRecord[], isAnswered: (call: Call) => boolean): number {
  let late = 0;
  let all = 0;
  for (const { startMs, endMs, calls } of runs) {
    const share = calls.filter((call) => !isAnswered(call)).length / calls.length;
    all += endMs - startMs;
    late += (endMs - startMs) * share;
  }
  return late / all;
}
