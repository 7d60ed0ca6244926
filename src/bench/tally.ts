import type { Latency, Spread } from './result.ts';

/** A tally in a form that crosses processes. */
export interface TallyRecord {
  readonly latencies: Float64Array;
  /** When each of these calls was due, or ended in a closed loop, in milliseconds since the window opened. */
  readonly times: Float64Array;
  readonly delays: Float64Array;
  readonly failures: ReadonlyMap<string, number>;
  readonly firstFailure: string | undefined;
}

/** Parts of a level whose figures are compared, to see how much they vary by themselves. */
const PARTS = 5;

/** Counts the calls of one level. */
export class Tally {
  /** From the moment at which a call was due, or sent if that was earlier, to its answer, in milliseconds. */
  readonly #latencies: number[] = [];
  readonly #times: number[] = [];
  readonly #failures = new Map<string, number>();
  /** How long after it was due each call of an open loop was sent, in milliseconds. */
  readonly #delays: number[] = [];
  /** Text of the first failure. */
  firstFailure: string | undefined;

  /** Adds tallies up, as of several processes. */
  static sum(records: readonly TallyRecord[]): Tally {
    const sum = new Tally();
    for (const { latencies, times, delays, failures, firstFailure } of records) {
      for (const [index, latency] of latencies.entries()) sum.answered(latency, times[index] ?? 0);
      for (const delay of delays) sum.sentAfter(delay);
      for (const [status, count] of failures) sum.#failures.set(status, (sum.#failures.get(status) ?? 0) + count);
      sum.firstFailure ??= firstFailure;
    }
    return sum;
  }

  get record(): TallyRecord {
    return {
      latencies: Float64Array.from(this.#latencies),
      times: Float64Array.from(this.#times),
      delays: Float64Array.from(this.#delays),
      failures: this.#failures,
      firstFailure: this.firstFailure,
    };
  }

  /** @param atMs since the window opened: when the call was due, or ended in a closed loop */
  answered(latencyMs: number, atMs: number): void {
    this.#latencies.push(latencyMs);
    this.#times.push(atMs);
  }

  failed(status: string, details: string): void {
    this.#failures.set(status, (this.#failures.get(status) ?? 0) + 1);
    this.firstFailure ??= `${details} (${status})`;
  }

  sentAfter(delayMs: number): void {
    this.#delays.push(delayMs);
  }

  get answers(): number {
    return this.#latencies.length;
  }

  get failures(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#failures].sort(([, a], [, b]) => b - a));
  }

  get calls(): number {
    return this.answers + [...this.#failures.values()].reduce((sum, count) => sum + count, 0);
  }

  answeredWithin(ms: number): number {
    return this.#latencies.filter((latency) => latency <= ms).length;
  }

  /** Share of the calls that were sent more than `ms` after they were due; 0 in a closed loop. */
  shareSentAfter(ms: number): number {
    return this.#delays.length === 0 ? 0 : this.#delays.filter((delay) => delay > ms).length / this.#delays.length;
  }

  /** `undefined` without answers. */
  latency(): Latency | undefined {
    const sorted = Float64Array.from(this.#latencies).sort();
    if (sorted.length === 0) return undefined;
    const at = (share: number): number => quantile(sorted, share);
    return {
      mean: sorted.reduce((sum, value) => sum + value, 0) / sorted.length,
      p50: at(0.5),
      p90: at(0.9),
      p95: at(0.95),
      p99: at(0.99),
      p999: at(0.999),
      max: at(1),
    };
  }

  /** Least and greatest figures of the fifths of the level; `undefined` where one of them has no answer. */
  spread(durationMs: number): Spread | undefined {
    const parts = Array.from({ length: PARTS }, (): number[] => []);
    for (const [index, atMs] of this.#times.entries()) {
      const part = Math.min(PARTS - 1, Math.max(0, Math.floor((atMs / durationMs) * PARTS)));
      parts[part]?.push(this.#latencies[index] ?? 0);
    }
    if (parts.some((part) => part.length === 0)) return undefined;
    const sorted = parts.map((part) => Float64Array.from(part).sort());
    const seconds = durationMs / PARTS / 1_000;
    return {
      answeredPerS: rangeOf(sorted.map(({ length }) => length / seconds)),
      p50Ms: rangeOf(sorted.map((part) => quantile(part, 0.5))),
      p99Ms: rangeOf(sorted.map((part) => quantile(part, 0.99))),
    };
  }
}

function rangeOf(values: readonly number[]): Spread['p50Ms'] {
  return { min: Math.min(...values), max: Math.max(...values) };
}

/** Nearest rank: the least value that this share does not exceed. */
function quantile(sorted: Float64Array, share: number): number {
  return sorted[Math.ceil(sorted.length * share) - 1] ?? Number.NaN;
}
