/** The part of the gateway that is simulated: the production `Scheduler` with its admission, and what a warm-up teaches it. */

import type { Call, CancelReason } from '../../src/gateway/accept/call.ts';
import { type InferTensors, type RowSize, UNIT_ROW } from '../../src/gateway/admit/infer-tensors.ts';
import type { DevicePlace } from '../../src/gateway/batch/device.ts';
import type { Executor } from '../../src/gateway/batch/executor.ts';
import { QueuePolicies, type QueuePolicy } from '../../src/gateway/batch/queue-policy.ts';
import { Scheduler } from '../../src/gateway/batch/scheduler.ts';
import { tenantsBy } from '../../src/gateway/batch/tenants.ts';
import { type Curve, runMs } from './curves.ts';

export interface ModelOptions {
  readonly name?: string;
  readonly maxRows: number;
  /** Levels of priority. */
  readonly levels?: number;
  /** `max_queue_size`; by default the server's. */
  readonly maxRequests?: number;
  /** `tensorgate.objective_ms`; by default derived from the time of a batch of one. */
  readonly objectiveMs?: number | undefined;
  /** The device that it shares with other models; by default none. */
  readonly place?: DevicePlace | undefined;
}

/** The default of `tensorgate.max_queue_size`. */
const MAX_QUEUE_SIZE = 1024;

const TENANT_KEY = 'x-tenant';

/** A scheduler as `load` makes it for a model with the server's default settings. */
export function makeScheduler(options: ModelOptions, executor: Executor): Scheduler {
  const policy: QueuePolicy = {
    maxRequests: options.maxRequests ?? MAX_QUEUE_SIZE,
    defaultTimeoutMs: Number.POSITIVE_INFINITY,
    allowTimeoutOverride: true,
    timeoutAction: 'reject',
  };
  const rest = Array.from({ length: (options.levels ?? 1) - 1 }, () => policy);
  return new Scheduler(
    {
      model: { name: options.name ?? 'model', version: '1' },
      policy: { maxRows: options.maxRows, maxDelayMs: 0, preferredRows: [] },
      queues: new QueuePolicies([policy, ...rest]),
      maxQueueBytes: Number.POSITIVE_INFINITY,
      axis: 'rows',
      inputs: [],
      maxOutputBytes: Number.POSITIVE_INFINITY,
      tenantOf: tenantsBy(TENANT_KEY, new Map()),
      objectiveMs: options.objectiveMs,
      ...(options.place !== undefined && { place: options.place }),
      record: () => {},
    },
    executor,
  );
}

/** What the rows of a request hold. */
export interface Content {
  /** Requests of one shape share batches. */
  readonly shape: string;
  readonly rows: number;
  /** Length of the open axis, such as tokens; by default there is none. */
  readonly length?: number;
}

export function tensorsOf({ shape, rows, length }: Content): InferTensors {
  return { rows, bytes: rows * 4, size: sizeOf(length), bucket: shape, inputs: [], shapes: [] };
}

function sizeOf(length: number | undefined): RowSize {
  return length === undefined ? UNIT_ROW : { elements: length, length };
}

/** Requests that name no shape have this one. */
export const ONE_SHAPE = 'shape';

/** Teaches the scheduler as a warm-up does: two measured runs of each of the sizes 1, 2, 4, … */
export function warmUp(scheduler: Scheduler, curve: Curve, size = UNIT_ROW): void {
  for (let rows = 1; ; rows = Math.min(rows * 2, curve.maxRows)) {
    for (let run = 0; run < 2; run++) scheduler.observe(size, rows, runMs(curve, rows));
    if (rows === curve.maxRows) return;
  }
}

/** The same of a model with an open axis, at some lengths. */
export function warmUpLengths(
  scheduler: Scheduler,
  lengths: readonly number[],
  maxRows: number,
  runMs: (rows: number, length: number) => number,
): void {
  for (const length of lengths) {
    for (let rows = 1; rows <= maxRows; rows *= 2) {
      for (let run = 0; run < 2; run++) scheduler.observe(sizeOf(length), rows, runMs(rows, length));
    }
  }
}

/** A call of a simulated client. */
export class SimulatedCall implements Call {
  readonly path = '/inference.GRPCInferenceService/ModelInfer';
  readonly deadline: number;
  readonly wayBackMs = 0;
  readonly namesDeadline: boolean;
  cancelled = false;
  onCancel: ((reason: CancelReason) => void) | undefined;
  readonly #tenant: string | undefined;

  constructor(deadline: number, namesDeadline: boolean, tenant: string | undefined) {
    this.deadline = deadline;
    this.namesDeadline = namesDeadline;
    this.#tenant = tenant;
  }

  get(name: string): string | undefined {
    return name === TENANT_KEY ? this.#tenant : undefined;
  }

  keys(): Iterable<string> {
    return this.#tenant === undefined ? [] : [TENANT_KEY];
  }

  fail(): void {}
}
