/** The gateway's process and its Node.js, read when someone collects. */

import fs from 'node:fs/promises';
import { monitorEventLoopDelay, PerformanceObserver, performance } from 'node:perf_hooks';
import type { Distribution } from './distribution.ts';
import type { MetricFamilies } from './metric-families.ts';
import { GC_KINDS } from './process-metric-definitions.ts';

/** A timer wakes this often to measure how late it is: 50 times a second take some 0.05 % of a core. */
const LAG_RESOLUTION_MS = 20;

/** The series of the process are read again after so long. */
const FRESH_MS = 1_000;

/** By `entry.detail.kind` of Node (perf_hooks). */
const KIND_BY_FLAG: ReadonlyMap<number, (typeof GC_KINDS)[number]> = new Map([
  [1, 'minor'],
  [4, 'major'],
  [8, 'incremental'],
  [16, 'weakcb'],
]);

export interface Versions {
  readonly version: string;
  readonly node: string;
  /** Empty where ONNX Runtime is not installed. */
  readonly onnxruntime: string;
}

export class ProcessMetrics {
  readonly #families: MetricFamilies;
  #refreshedAt = Number.NEGATIVE_INFINITY;
  readonly #lag = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS });
  readonly #pauses: ReadonlyMap<string, Distribution>;
  readonly #observer = new PerformanceObserver((list) => {
    for (const pause of list.getEntries()) this.#recordPause(pause);
  });

  constructor(families: MetricFamilies, versions: Versions) {
    this.#families = families;
    this.#pauses = new Map(
      GC_KINDS.map((kind) => [kind, families.distribution('nodejs_gc_duration_seconds', { kind })]),
    );
    families.sample('tensorgate_build_info', { ...versions }).value = 1;
    families.sample('process_start_time_seconds', {}).value = performance.timeOrigin / 1_000;
    this.#lag.enable();
    this.#observer.observe({ entryTypes: ['gc'] });
  }

  /** Sets the series to this moment, or leaves them as they were a moment ago: some readers ask hundreds of times a second. */
  async refresh(): Promise<void> {
    const now = performance.now();
    if (now - this.#refreshedAt < FRESH_MS) return;
    this.#refreshedAt = now;
    const families = this.#families;
    const asked = performance.now();
    await new Promise(setImmediate);
    families.sample('nodejs_eventloop_lag_seconds', {}).value = (performance.now() - asked) / 1_000;
    this.#refreshLag();
    const { user, system } = process.cpuUsage();
    families.sample('process_cpu_user_seconds_total', {}).value = user / 1e6;
    families.sample('process_cpu_system_seconds_total', {}).value = system / 1e6;
    families.sample('process_cpu_seconds_total', {}).value = (user + system) / 1e6;
    const { rss, heapTotal, heapUsed, external } = process.memoryUsage();
    families.sample('process_resident_memory_bytes', {}).value = rss;
    families.sample('nodejs_heap_size_total_bytes', {}).value = heapTotal;
    families.sample('nodejs_heap_size_used_bytes', {}).value = heapUsed;
    families.sample('nodejs_external_memory_bytes', {}).value = external;
    await this.#refreshFromKernel();
  }

  end(): void {
    this.#lag.disable();
    this.#observer.disconnect();
  }

  /** The monitor reports how far apart its wake-ups were. */
  #refreshLag(): void {
    const lag = this.#lag;
    const seconds = (ns: number): number => (Number.isNaN(ns) ? 0 : Math.max(0, ns / 1e9 - LAG_RESOLUTION_MS / 1e3));
    const none = lag.count === 0;
    const families = this.#families;
    families.sample('nodejs_eventloop_lag_mean_seconds', {}).value = none ? 0 : seconds(lag.mean);
    families.sample('nodejs_eventloop_lag_max_seconds', {}).value = none ? 0 : seconds(lag.max);
    families.sample('nodejs_eventloop_lag_p50_seconds', {}).value = none ? 0 : seconds(lag.percentile(50));
    families.sample('nodejs_eventloop_lag_p99_seconds', {}).value = none ? 0 : seconds(lag.percentile(99));
    lag.reset();
  }

  /** Nothing is shown where there is no `/proc`. */
  async #refreshFromKernel(): Promise<void> {
    const [status, limits, descriptors] = await Promise.all([
      fs.readFile('/proc/self/status', 'utf8').catch(() => ''),
      fs.readFile('/proc/self/limits', 'utf8').catch(() => ''),
      fs.readdir('/proc/self/fd').catch(() => undefined),
    ]);
    const families = this.#families;
    const [, kilobytes] = /^VmSize:\s+(\d+) kB$/m.exec(status) ?? [];
    if (kilobytes !== undefined) families.sample('process_virtual_memory_bytes', {}).value = Number(kilobytes) * 1_024;
    const [, most] = /^Max open files\s+(\d+)/m.exec(limits) ?? [];
    if (most !== undefined) families.sample('process_max_fds', {}).value = Number(most);
    if (descriptors !== undefined) families.sample('process_open_fds', {}).value = descriptors.length;
  }

  #recordPause({ duration, detail }: { readonly duration: number; readonly detail?: unknown }): void {
    const { kind = 0 } = detail as { readonly kind?: number };
    this.#pauses.get(KIND_BY_FLAG.get(kind) ?? '')?.record(duration / 1_000);
  }
}
