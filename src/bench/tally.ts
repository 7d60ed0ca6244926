import type { Latency } from './result.ts';

/** Counts the calls of one level. */
export class Tally {
  /** From the moment at which a call was due, or sent if that was earlier, to its answer, in milliseconds. */
  readonly #latencies: number[] = [];
  readonly #failures = new Map<string, number>();
  /** How long after it was due each call of an open loop was sent, in milliseconds. */
  readonly #delays: number[] = [];
  /** Text of the first failure. */
  firstFailure: string | undefined;

  answered(latencyMs: number): void {
    this.#latencies.push(latencyMs);
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
    // Nearest rank: the least value that this share of the answers does not exceed.
    const at = (share: number): number => sorted[Math.ceil(sorted.length * share) - 1] ?? Number.NaN;
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
}
