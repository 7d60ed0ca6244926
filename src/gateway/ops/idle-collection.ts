/** Gives memory back when there is nothing to do, and decides how soon new objects are collected. */

import v8 from 'node:v8';
import vm from 'node:vm';
import { diagnostics } from './diagnostics.ts';
import { tuneNewSpace } from './garbage-collection.ts';

/** How often the process is looked at. */
const LOOK_MS = 2_000;
/** It is idle while its event loop had work for less than this share of the time. */
const IDLE_SHARE = 0.25;
/** Minimum garbage worth a collection: V8 marks the small heap of the gateway in about 10 ms. */
const WORTH_BYTES = 64 * 2 ** 20;
/** The longest pause after collections that freed little. */
const MAX_PAUSE_MS = 64_000;

type Collect = (options: { readonly type: 'major'; readonly execution: 'async' }) => Promise<void>;

/**
 * V8 collects when memory grows. After a peak, such as large answers or clients that were cut off, unused buffers would otherwise
 * stay resident for as long as the process is idle. How much is garbage shows only in a collection: it comes soon
 * after memory has grown or a limit has cut something, and ever later after collections that free little.
 * @returns how to end it
 */
export function collectWhenIdle(): () => void {
  v8.setFlagsFromString('--expose-gc');
  const collect = vm.runInNewContext('gc') as Collect;
  let utilization = performance.eventLoopUtilization();
  let least = heldBytes();
  let left = least;
  let pauseMs = LOOK_MS;
  let dueAt = 0;
  let isCollecting = false;
  const look = async (): Promise<void> => {
    tuneNewSpace();
    const since = utilization;
    utilization = performance.eventLoopUtilization();
    const held = heldBytes();
    least = Math.min(least, held);
    if (isCollecting || held - least < WORTH_BYTES) return;
    if (performance.now() < dueAt && held - left < WORTH_BYTES) return;
    if (performance.eventLoopUtilization(utilization, since).utilization > IDLE_SHARE) return;
    isCollecting = true;
    dueAt = Number.POSITIVE_INFINITY;
    await collect({ type: 'major', execution: 'async' });
    isCollecting = false;
    left = heldBytes();
    pauseMs = held - left < WORTH_BYTES ? Math.min(MAX_PAUSE_MS, 2 * pauseMs) : LOOK_MS;
    // A limit may have cut something while it collected.
    if (dueAt > 0) dueAt = performance.now() + pauseMs;
  };
  const timer = setInterval(() => void look(), LOOK_MS).unref();
  const unsubscribe = diagnostics.limitReached.subscribe(() => {
    pauseMs = LOOK_MS;
    dueAt = 0;
  });
  return () => {
    clearInterval(timer);
    unsubscribe();
  };
}

function heldBytes(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
