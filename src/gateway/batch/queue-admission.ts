/**
 * Whether a request may join the queue. A request is refused where the predictions say that it cannot be answered in time, unless it
 * is let through as a probe: only runs correct predictions.
 */

import type { Call } from '../accept/call.ts';
import { expired } from '../accept/cancellation.ts';
import type { InferTensors } from '../admit/infer-tensors.ts';
import type { RequestTerms } from '../admit/request-terms.ts';
import type { InferError } from '../errors.ts';
import type { ModelRef } from '../ops/diagnostics.ts';
import { admissionSlack } from './admission-slack.ts';
import type { Arrivals } from './arrivals.ts';
import type { Executor } from './executor.ts';
import { isWorthWaiting, runnerLost } from './gate.ts';
import type { Predictor } from './predictor.ts';
import type { Arrival, QueuedRequest } from './queued-request.ts';
import { breakerOpen, cannotMeetDeadline, deadlineTooShort, overloaded } from './refusals.ts';
import { SeenSizes } from './seen-sizes.ts';
import type { Workload } from './workload.ts';

/** A probe runs at most this often, in predicted runs and in milliseconds. */
const PROBE_RUNS = 20;
const PROBE_INTERVAL_MS = 1_000;

/** The parts of a scheduler by which admission judges. */
interface AdmissionDependencies {
  readonly model: ModelRef;
  readonly arrivals: Arrivals;
  readonly workload: Workload;
  readonly predictor: Predictor;
  readonly executor: Pick<Executor, 'gate'>;
}

export class QueueAdmission {
  readonly #model: ModelRef;
  readonly #arrivals: Arrivals;
  readonly #workload: Workload;
  readonly #predictor: Predictor;
  readonly #executor: Pick<Executor, 'gate'>;
  readonly #sizes = new SeenSizes();
  #newcomer: QueuedRequest | undefined;
  #probe: QueuedRequest | undefined;
  #probedAtMs = performance.now();

  constructor({ model, arrivals, workload, predictor, executor }: AdmissionDependencies) {
    this.#model = model;
    this.#arrivals = arrivals;
    this.#workload = workload;
    this.#predictor = predictor;
    this.#executor = executor;
  }

  /** The last request that found the version quiet. */
  get newcomer(): QueuedRequest | undefined {
    return this.#newcomer;
  }

  /** The request that runs whatever is predicted, if one waits. */
  takeProbe(): QueuedRequest | undefined {
    if (this.#probe?.isWaiting !== true) this.#probe = undefined;
    return this.#probe;
  }

  /** The parts of a request that was admitted wait in its place: the first of them is what it was. */
  substitute(whole: QueuedRequest, [part]: readonly QueuedRequest[]): void {
    if (this.#newcomer === whole) this.#newcomer = part;
    if (this.#probe === whole) this.#probe = part;
  }

  /** A request has arrived, whether it is taken or not. */
  note(tensors: InferTensors): void {
    this.#sizes.note(tensors);
  }

  /** Why the request cannot be taken now, if so. */
  refusal(request: QueuedRequest, now: number): InferError | undefined {
    const closed = this.#closedTo(request, now);
    if (closed !== undefined) return closed;
    // An idle version learns nothing by refusing.
    if (this.#workload.isQuiet && request.behind?.(request.rows).isIdle !== false) {
      this.#newcomer = request;
      return undefined;
    }
    const leftMs = request.deadline - now;
    const aloneMs = this.#predictor.aloneMs(request, now);
    const waitMs = this.#predictor.waitMs(request, now);
    if (waitMs + aloneMs <= this.#slackOf(request) * leftMs) return undefined;
    if (aloneMs > admissionSlack(request) * leftMs && this.#mayProbe(aloneMs, now)) {
      this.#probe = request;
      this.#probedAtMs = now;
      return undefined;
    }
    return this.tooMuchBefore(request, waitMs, now);
  }

  /**
   * Judges the lightest request that ever came, with as much time as the heaviest would have. A request that could run as a probe
   * is not refused here.
   */
  earlyRefusal(call: Call, terms: RequestTerms): InferError | undefined {
    const { lightest, heaviest } = this.#sizes;
    if (lightest === undefined || heaviest === undefined || this.#workload.isQuiet) return undefined;
    const now = performance.now();
    const light = this.#arrivals.arrivalOf(lightest, call, terms, now);
    const closed = this.#closedTo(light, now);
    if (closed !== undefined) return closed;
    // Only an objective grants the heaviest more time.
    const isAlike = heaviest === lightest || light.objectiveAt === Number.POSITIVE_INFINITY;
    const heavy = isAlike ? light : this.#arrivals.arrivalOf(heaviest, call, terms, now);
    const waitMs = this.#predictor.waitMs(light, now);
    const aloneMs = this.#predictor.predict(lightest, light.rows, now) ?? 0;
    if (waitMs + aloneMs <= this.#slackOf(heavy) * (heavy.deadline - now)) {
      return this.#workload.queue.refusal(light.flow, lightest, waitMs);
    }
    const longestMs = this.#predictor.predict(heaviest, heaviest.rows, now) ?? 0;
    if (longestMs > admissionSlack(light) * (light.deadline - now) && this.#mayProbe(aloneMs, now)) return undefined;
    return this.tooMuchBefore(light, waitMs, now);
  }

  /** Why nothing runs that the request could wait for, if so. */
  #closedTo(request: Arrival, now: number): InferError | undefined {
    const { gate } = this.#executor;
    if (gate.kind === 'open') return breakerOpen(this.#model, gate.retryAfterMs);
    if (request.expiresAt <= now) return expired();
    if (gate.kind === 'down' && !isWorthWaiting(request, gate, now)) return runnerLost(this.#model, gate);
    return undefined;
  }

  /** Why the request is not answered in time, with `waitMs` of work before it. */
  tooMuchBefore(request: Arrival, waitMs: number, now: number): InferError {
    const { objectiveAt, latestAt, arrivalMs } = request;
    if (objectiveAt < latestAt) return overloaded(waitMs, objectiveAt - arrivalMs);
    const leftMs = request.deadline - now;
    const fastestMs = this.#predictor.fastest(request.tensors, request.rows);
    // Requests that wait elsewhere are no reason to give up for good.
    const grantedMs = request.latestAt - now;
    if (fastestMs !== undefined && fastestMs > grantedMs) return deadlineTooShort(fastestMs, grantedMs);
    return cannotMeetDeadline(waitMs, this.#predictor.aloneMs(request, now), leftMs);
  }

  /**
   * A request without a named time is refused only when more is asked than the model answers at its usual pace, not because the
   * machine is slow for a while: callers in a closed loop ask for no more on a slow machine.
   */
  #slackOf(request: Arrival): number {
    const slack = admissionSlack(request);
    return request.objectiveAt < request.latestAt ? slack * this.#predictor.slowness : slack;
  }

  #mayProbe(aloneMs: number, now: number): boolean {
    return now - this.#probedAtMs >= Math.max(PROBE_INTERVAL_MS, PROBE_RUNS * aloneMs);
  }
}
