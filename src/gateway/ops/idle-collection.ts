/** Gives memory back when there is nothing to do. */

import v8 from 'node:v8';
import vm from 'node:vm';

/** How often the process is looked at. */
const LOOK_MS = 2_000;
/** It is idle while its event loop had work for less than this share of the time. */
const IDLE_SHARE = 0.25;
/** What is worth a collection: V8 marks the small heap of the gateway in about 10 ms. */
const WORTH_BYTES = 64 * 2 ** 20;

type Collect = (options: { readonly type: 'major'; readonly execution: 'async' }) => Promise<void>;

/**
 * V8 collects when memory grows, so after a peak (large answers, or attackers that were cut off) buffers that nothing refers to any
 * longer would stay resident for as long as the process is idle.
 * @returns how to end it
 */
export function collectWhenIdle(): () => void {
  v8.setFlagsFromString('--expose-gc');
  const collect = vm.runInNewContext('gc') as Collect;
  let utilization = performance.eventLoopUtilization();
  /** The least that the process held since the last collection. */
  let floor = heldBytes();
  let isCollecting = false;
  const look = async (): Promise<void> => {
    const since = utilization;
    utilization = performance.eventLoopUtilization();
    const held = heldBytes();
    floor = Math.min(floor, held);
    if (isCollecting || held - floor < WORTH_BYTES) return;
    if (performance.eventLoopUtilization(utilization, since).utilization > IDLE_SHARE) return;
    isCollecting = true;
    await collect({ type: 'major', execution: 'async' });
    isCollecting = false;
    floor = heldBytes();
  };
  const timer = setInterval(() => void look(), LOOK_MS).unref();
  return () => clearInterval(timer);
}

function heldBytes(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
