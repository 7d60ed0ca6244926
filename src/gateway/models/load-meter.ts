/**
 * Measures the figures of load reports: the utilization of this replica, and its rates of requests and errors.
 *
 * Balancers give a replica the weight `rps / (utilization + penalty * eps / rps)` (gRFC A58; Envoy's
 * client_side_weighted_round_robin), so the three belong together: all are means over the same seconds. Then rps over
 * utilization is rows of capacity over the row-seconds of a request, however much or little traffic there is.
 */

import type { LoadReport } from '../../wire/load-report.ts';
import type { Occupancy } from '../batch/occupancy.ts';
import type { StatusName } from '../errors.ts';
import { diagnostics, type InferenceEnded } from '../ops/diagnostics.ts';

/** Minimum age before a report is measured again; balancers poll once a second. */
const REFRESH_MS = 100;
/** Measured at least this often, so that a rare caller does not get the mean of hours. */
const TICK_MS = 1_000;
/** Time constant: values of this age count 1/e of current ones. */
const MEMORY_MS = 5_000;

/**
 * Statuses that count as errors, because the server is at fault. Not DEADLINE_EXCEEDED: how little time a caller grants is its own choice,
 * and where the replica is slow, the utilization says so.
 */
const FAULTS: ReadonlySet<StatusName> = new Set(['UNKNOWN', 'INTERNAL', 'UNAVAILABLE']);

export class LoadMeter implements Disposable {
  readonly #occupancies: () => Iterable<Occupancy>;
  readonly #now: () => number;
  readonly #unsubscribe: () => void;
  readonly #ticks: NodeJS.Timeout;
  /** Since the last report. */
  #answered = 0;
  #failed = 0;
  readonly #rps = new RecentMean();
  readonly #eps = new RecentMean();
  readonly #rows = new WeakMap<Occupancy, { rowMs: number; readonly mean: RecentMean }>();
  #measuredAt: number;
  #report: LoadReport | undefined;

  /**
   * @param occupancies of all model versions that there are
   * @param now on the clock of `performance.now()`
   */
  constructor(occupancies: () => Iterable<Occupancy>, now: () => number = () => performance.now()) {
    this.#occupancies = occupancies;
    this.#now = now;
    this.#measuredAt = now();
    this.#unsubscribe = diagnostics.inferenceEnded.subscribe((event) => this.#count(event));
    this.#ticks = setInterval(() => this.#refresh(), TICK_MS).unref();
  }

  /**
   * The same object for 100 ms. `undefined` before there was a request that counts: a report without a rate is worthless,
   * and Envoy drops it.
   */
  get report(): LoadReport | undefined {
    this.#refresh();
    return this.#report;
  }

  [Symbol.dispose](): void {
    this.#unsubscribe();
    clearInterval(this.#ticks);
  }

  #refresh(): void {
    const now = this.#now();
    const elapsedMs = now - this.#measuredAt;
    if (elapsedMs >= REFRESH_MS || (this.#report === undefined && elapsedMs > 0)) this.#measure(now, elapsedMs);
  }

  /** Requests that were refused are left out: they cost nothing, and a replica that refuses much would look strong. */
  #count({ status }: InferenceEnded): void {
    if (FAULTS.has(status)) this.#failed++;
    else if (status === 'OK') this.#answered++;
  }

  #measure(now: number, elapsedMs: number): void {
    const weight = 1 - Math.exp(-elapsedMs / MEMORY_MS);
    const perSecond = 1_000 / elapsedMs;
    this.#rps.add((this.#answered + this.#failed) * perSecond, weight);
    this.#eps.add(this.#failed * perSecond, weight);
    let utilization = 0;
    // The fullest model counts: a replica that can take no more for one of its models is full.
    for (const occupancy of this.#occupancies()) {
      utilization = Math.max(utilization, this.#rowsOf(occupancy, now, elapsedMs, weight) / occupancy.capacity);
    }
    this.#answered = 0;
    this.#failed = 0;
    this.#measuredAt = now;
    const [rpsFractional, eps] = [this.#rps.value, this.#eps.value];
    this.#report = rpsFractional > 0 ? { applicationUtilization: utilization, rpsFractional, eps } : undefined;
  }

  #rowsOf(occupancy: Occupancy, now: number, elapsedMs: number, weight: number): number {
    const known = this.#rows.get(occupancy) ?? { rowMs: 0, mean: new RecentMean() };
    const rowMs = occupancy.rowMs(now);
    known.mean.add((rowMs - known.rowMs) / elapsedMs, weight);
    known.rowMs = rowMs;
    this.#rows.set(occupancy, known);
    return known.mean.value;
  }
}

/** A mean in which each stretch of time counts the less, the longer it is ago. The first value counts in full. */
class RecentMean {
  #sum = 0;
  #weights = 0;

  get value(): number {
    return this.#weights === 0 ? 0 : this.#sum / this.#weights;
  }

  /** @param weight of the stretch that `value` is the mean of, from 0 to 1; what came before keeps the rest. */
  add(value: number, weight: number): void {
    this.#sum = this.#sum * (1 - weight) + value * weight;
    this.#weights = this.#weights * (1 - weight) + weight;
  }
}
