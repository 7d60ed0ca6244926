/** Whether this process, and not the server, decides the figures. */

import { type EventLoopUtilization, monitorEventLoopDelay, performance } from 'node:perf_hooks';

/** Interval of the timers whose delay is measured, in milliseconds. */
const RESOLUTION_MS = 5;

/** Use of the client's process over a window. */
export interface ClientUse {
  /** Share of the time in which the event loop was not idle. */
  readonly loopBusy: number;
  /** Processor time of the process, as a share of the window; above 1 with several threads. */
  readonly cpu: number;
  /** 99th percentile of how late timers ran, in milliseconds. */
  readonly lagP99Ms: number;
}

export class ClientWatch {
  readonly #delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  readonly #loop: EventLoopUtilization;
  readonly #cpu: NodeJS.CpuUsage;
  readonly #startedAt = performance.now();

  /** Begins to measure. */
  constructor() {
    this.#delays.enable();
    this.#loop = performance.eventLoopUtilization();
    this.#cpu = process.cpuUsage();
  }

  end(): ClientUse {
    this.#delays.disable();
    const { user, system } = process.cpuUsage(this.#cpu);
    return {
      loopBusy: performance.eventLoopUtilization(this.#loop).utilization,
      cpu: (user + system) / 1_000 / (performance.now() - this.#startedAt),
      lagP99Ms: Math.max(0, this.#delays.percentile(99) / 1e6 - RESOLUTION_MS),
    };
  }
}

const MAX_BUSY = 0.9;
/** Shorter delays are the precision of timers. */
const MIN_LATE_MS = 5;
/** Share of a latency that may be the client's own. */
const OWN_SHARE = 0.1;
/** Share of the calls that may be sent late. */
const MAX_LATE_SHARE = 0.01;

/** Delays of the client beyond this falsify latencies of this kind; in milliseconds. */
export function tolerableMs(latencyMs: number): number {
  return Math.max(MIN_LATE_MS, OWN_SHARE * latencyMs);
}

export interface BottleneckFacts extends ClientUse {
  /** Median and 99th percentile, in milliseconds; 0 without answers. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Share of the calls that were sent more than `tolerableMs(p50Ms)` late. */
  readonly lateShare: number;
}

/** Why the latencies are the client's and not the server's; `undefined` where they are the server's. */
export function bottleneckOf(facts: BottleneckFacts): string | undefined {
  const { loopBusy, cpu, lagP99Ms, p50Ms, p99Ms, lateShare } = facts;
  const busy = Math.max(loopBusy, Math.min(cpu, 1));
  if (busy > MAX_BUSY) return `its event loop was busy ${percent(busy)} of the time`;
  if (lateShare > MAX_LATE_SHARE) {
    return `${percent(lateShare)} of the calls were sent more than ${tolerableMs(p50Ms).toFixed(0)} ms late`;
  }
  if (lagP99Ms > tolerableMs(p99Ms)) return `its event loop ran up to ${lagP99Ms.toFixed(0)} ms late`;
  return undefined;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
}
