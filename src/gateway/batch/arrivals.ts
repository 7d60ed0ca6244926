/** How a call becomes a request of the queue: its times, its level of priority, and its flow. */

import type { Call } from '../accept/call.ts';
import type { InferTensors, RowSize } from '../admit/infer-tensors.ts';
import type { RequestTerms } from '../admit/request-terms.ts';
import { batchesMs } from './batches-time.ts';
import type { CostModel } from './cost-model.ts';
import type { Flow } from './fair-queueing.ts';
import { defaultObjectiveMs } from './objective.ts';
import type { QueuePolicies } from './queue-policy.ts';
import type { Arrival, QueuedRequest } from './queued-request.ts';
import type { RequestQueue } from './request-queue.ts';
import { type RequestTimes, timesOf } from './request-times.ts';
import { type TenantOf, UNNAMED } from './tenants.ts';
import type { BatchPolicy } from './waiting.ts';

export interface ArrivalOptions {
  readonly policy: BatchPolicy;
  readonly queues: QueuePolicies;
  /** The tenant of a call; without it, all calls belong to one tenant. */
  readonly tenantOf?: TenantOf | undefined;
  /** After how many milliseconds a request should be answered whose caller names no time; by default it follows from the model's speed. */
  readonly objectiveMs?: number | undefined;
}

export class Arrivals {
  readonly #options: ArrivalOptions;
  readonly #queue: RequestQueue;
  readonly #costs: CostModel;

  constructor(options: ArrivalOptions, queue: RequestQueue, costs: CostModel) {
    this.#options = options;
    this.#queue = queue;
    this.#costs = costs;
  }

  /** The objective of a request of one row like the latest ones. */
  get usualObjectiveMs(): number {
    const { policy, objectiveMs } = this.#options;
    return objectiveMs ?? defaultObjectiveMs(policy.maxDelayMs, this.#costs.typicalLatest(1));
  }

  requestOf(
    tensors: InferTensors,
    call: Call,
    terms: RequestTerms,
    resolve: QueuedRequest['resolve'],
    reject: QueuedRequest['reject'],
    now: number,
  ): QueuedRequest {
    const { rows, bytes } = tensors;
    const level = this.#options.queues.levelOf(terms);
    const times = this.#timesOf(tensors, call, terms, level, now);
    // Field by field: spreading objects takes longer than everything around it.
    return {
      limitMs: times.limitMs,
      expiresAt: times.expiresAt,
      latestAt: times.latestAt,
      objectiveAt: times.objectiveAt,
      due: times.due,
      resolve,
      reject,
      tensors,
      call,
      rows,
      bytes,
      workMs: this.#queue.workMs(tensors),
      deadline: times.deadline,
      behind: terms.behind,
      arrivalMs: now,
      level,
      flow: this.#flowOf(call, level, times, now),
      tag: 0,
      isWaiting: false,
      suspect: false,
      sentAtMs: 0,
      settled: false,
      timer: undefined,
      occupancy: undefined,
      send: terms.send,
      hasAnswers: false,
      whole: undefined,
    };
  }

  /** Less than a request, because most that are judged are refused. */
  arrivalOf(tensors: InferTensors, call: Call, terms: RequestTerms, now: number): Arrival {
    const level = this.#options.queues.levelOf(terms);
    const times = this.#timesOf(tensors, call, terms, level, now);
    return {
      expiresAt: times.expiresAt,
      latestAt: times.latestAt,
      objectiveAt: times.objectiveAt,
      due: times.due,
      deadline: times.deadline,
      arrivalMs: now,
      tensors,
      rows: tensors.rows,
      behind: terms.behind,
      flow: this.#flowOf(call, level, times, now),
    };
  }

  #timesOf({ size, rows }: InferTensors, call: Call, terms: RequestTerms, level: number, now: number): RequestTimes {
    const { queues, policy, objectiveMs } = this.#options;
    const objective = objectiveMs ?? defaultObjectiveMs(policy.maxDelayMs, this.#typicalMs(size, rows));
    return timesOf(call, terms, queues.at(level), objective, rows, now);
  }

  #typicalMs(size: RowSize, rows: number): number | undefined {
    const { maxRows } = this.#options.policy;
    if (rows <= maxRows) return this.#costs.typical(size, rows);
    return batchesMs(rows, maxRows, (some) => this.#costs.typical(size, some));
  }

  #flowOf(call: Call, level: number, { objectiveAt, deadline }: RequestTimes, now: number): Flow {
    const { name: tenant, weight } = this.#options.tenantOf?.(call) ?? UNNAMED;
    const isNamed = objectiveAt === Number.POSITIVE_INFINITY;
    return this.#queue.flowOf({ tenant, weight, level, grantedMs: deadline - now, isNamed });
  }
}
