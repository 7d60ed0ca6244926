/** Which of the waiting requests may be in the next batch, and which of them are dropped because nothing can answer them in time. */

import { expired } from '../accept/cancellation.ts';
import { waitMsOf } from '../admit/request-terms.ts';
import type { Predictor } from './predictor.ts';
import type { QueueAdmission } from './queue-admission.ts';
import type { QueuedRequest } from './queued-request.ts';
import type { Verdict } from './request-queue.ts';
import { fail } from './settlement.ts';
import type { Workload } from './workload.ts';

export class Triage {
  readonly #workload: Workload;
  readonly #predictor: Predictor;
  readonly #admission: QueueAdmission;

  constructor(workload: Workload, predictor: Predictor, admission: QueueAdmission) {
    this.#workload = workload;
    this.#predictor = predictor;
    this.#admission = admission;
  }

  /** The requests that may run now, by bucket. Drops requests that cannot be answered in time, unless nothing else can run. */
  candidates(now: number): readonly (readonly QueuedRequest[])[] {
    const { queue } = this.#workload;
    const { promising, doubtful, hopeless, expired: late } = queue.survey((request) => this.#judge(request, now));
    for (const request of late) fail(request, expired());
    const probe = this.#admission.takeProbe();
    if (probe !== undefined) return [[probe]];
    const isIdle = this.#workload.inFlight.size === 0;
    if (promising.size === 0 && isIdle) {
      const last = doubtful.length > 0 ? doubtful : hopeless.filter((request) => request === this.#admission.newcomer);
      if (last.length > 0) return byBucket(last);
    }
    for (const request of hopeless) {
      queue.leave(request);
      fail(request, this.#admission.tooMuchBefore(request, this.#predictor.waitMs(request, now), now));
    }
    return [...promising.values()];
  }

  #judge(request: QueuedRequest, now: number): Verdict {
    if (request.expiresAt <= now) return 'expired';
    const aloneMs = this.#predictor.aloneMs(request, now);
    const behind = request.behind?.(request.rows);
    const waitMs = waitMsOf(behind);
    if (request.objectiveAt < request.latestAt) {
      const isLate = now + aloneMs + waitMs > request.objectiveAt;
      if (isLate && this.#isOverloaded(request, waitMs)) return 'hopeless';
      request.deadline = (isLate ? request.latestAt : request.objectiveAt) - waitMs;
    } else if (behind !== undefined) request.deadline = request.latestAt - waitMs;
    const leftMs = request.deadline - now;
    if (aloneMs <= leftMs && leftMs > 0) return 'promising';
    const mayBeFaster =
      behind?.isIdle !== false && (this.#predictor.fastest(request.tensors, request.rows) ?? 0) <= leftMs;
    return mayBeFaster ? 'doubtful' : 'hopeless';
  }

  /**
   * Whether the backlog of the request's flow, and the batch that collects meanwhile, take longer than the objective at the usual pace.
   * Otherwise a stall or a slow machine made the request late, and it makes no other late.
   * @param waitBehindMs what the steps behind it wait for
   */
  #isOverloaded({ flow, objectiveAt, arrivalMs, tensors }: QueuedRequest, waitBehindMs: number): boolean {
    const drainMs = this.#predictor.drainMs(flow);
    const fullMs = this.#predictor.usualFullMs(tensors);
    const behindMs = waitBehindMs / this.#predictor.slowness;
    return drainMs + Math.min(drainMs, fullMs) + behindMs > objectiveAt - arrivalMs;
  }
}

function byBucket(requests: readonly QueuedRequest[]): QueuedRequest[][] {
  const buckets = new Map<string, QueuedRequest[]>();
  for (const request of requests) {
    const bucket = buckets.get(request.tensors.bucket);
    if (bucket === undefined) buckets.set(request.tensors.bucket, [request]);
    else bucket.push(request);
  }
  return [...buckets.values()];
}
