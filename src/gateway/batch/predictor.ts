/** Predicted times of one model version: of a run, of the wait before it, and of both together. */

import type { Prediction } from '../ops/diagnostics.ts';
import { batchesMs } from './batches-time.ts';
import type { CostModel } from './cost-model.ts';
import type { DeviceShare } from './device.ts';
import type { Executor } from './executor.ts';
import type { Flow } from './fair-queueing.ts';
import type { Forecast, RequestSize } from './forecast.ts';
import { paddedSize } from './length-runs.ts';
import type { Arrival, QueuedRequest } from './queued-request.ts';
import { rowsOf } from './waiting.ts';
import type { Workload } from './workload.ts';

type Instances = Pick<Executor, 'instances' | 'idle'>;

export class Predictor {
  readonly #workload: Workload;
  readonly #costs: CostModel;
  readonly #share: DeviceShare;
  readonly #instances: Instances;
  readonly #maxRows: number;

  /** @param maxRows rows of a full batch */
  constructor(workload: Workload, costs: CostModel, share: DeviceShare, instances: Instances, maxRows: number) {
    this.#workload = workload;
    this.#costs = costs;
    this.#share = share;
    this.#instances = instances;
    this.#maxRows = maxRows;
  }

  /** Times that batches of one row, and of the most rows, are predicted to take if they are like the latest one. */
  get latest(): readonly Prediction[] {
    const now = performance.now();
    return [...new Set([1, this.#maxRows])].flatMap((rows) => {
      const ms = this.#costs.predictLatest(rows, now);
      return ms === undefined ? [] : [{ rows, ms }];
    });
  }

  /** How many times slower the machine is now than usual. */
  get slowness(): number {
    return this.#costs.slowness;
  }

  forecast(request: RequestSize): Forecast {
    const now = performance.now();
    return {
      runningMs: this.runningMs(now),
      waitingMs: (this.#workload.queue.ms * this.#costs.slowness) / this.#instances.instances,
      aloneMs: this.predict(request, request.rows, now) ?? 0,
      isIdle: this.#workload.isQuiet,
      device: this.#share.device,
      parallel: this.#share.parallel,
    };
  }

  predictBatch(requests: readonly QueuedRequest[], now: number): number | undefined {
    return this.#costs.predict(paddedSize(requests), rowsOf(requests), now, this.#share.beside);
  }

  /** Milliseconds that such rows take if they start now; `undefined` where that is not known. */
  predict({ size }: RequestSize, rows: number, now: number): number | undefined {
    if (rows <= this.#maxRows) return this.#costs.predict(size, rows, now, this.#share.beside);
    return this.#inParts(rows, (some) => this.#costs.predict(size, some, now, this.#share.beside));
  }

  /** The fastest run of so many rows that was ever seen. */
  fastest({ size }: RequestSize, rows: number): number | undefined {
    if (rows <= this.#maxRows) return this.#costs.fastest(size, rows);
    return this.#inParts(rows, (some) => this.#costs.fastest(size, some));
  }

  /** The parts of a request run beside each other on all instances. */
  #inParts(rows: number, ms: (rows: number) => number | undefined): number | undefined {
    const all = batchesMs(rows, this.#maxRows, ms);
    return all === undefined ? undefined : all / Math.min(this.#instances.instances, Math.ceil(rows / this.#maxRows));
  }

  /** The request's own run, and the runs of the steps behind it. */
  aloneMs({ tensors, rows, behind }: Arrival, now: number): number {
    return (this.predict(tensors, rows, now) ?? 0) + (behind?.(rows).runMs ?? 0);
  }

  /** Predicted time until the runs in flight and the requests ahead are done; 0 if unknown. */
  waitMs(request: Arrival, now: number): number {
    const beforeMs = this.#workload.queue.msBefore(request) * this.#costs.slowness;
    if (this.#instances.idle > 0 && beforeMs === 0) return 0;
    return this.runningMs(now) + beforeMs / this.#instances.instances;
  }

  /** Until all requests of the flow that wait now have been sent, at the usual pace. */
  drainMs(flow: Flow): number {
    return this.#workload.queue.drainMs(flow) / this.#instances.instances;
  }

  /** A full batch of such rows, at the usual pace; 0 if unknown. */
  usualFullMs({ size }: RequestSize): number {
    return this.#costs.predictUsual(size, this.#maxRows, this.#share.beside) ?? 0;
  }

  /** About how long until an instance is idle. */
  runningMs(now: number): number {
    if (this.#instances.idle > 0) return 0;
    const soonest = this.#workload.soonestEndMs;
    return soonest === Number.POSITIVE_INFINITY ? 0 : Math.max(0, soonest - now);
  }
}
