/** How soon V8 optimizes the functions that run often. */

import v8 from 'node:v8';

/**
 * By default V8 optimizes a function fully when it has run 3,000 times, and waits for 500 calls after its types have changed. A
 * server with one caller runs unoptimized code for its first ten thousand calls: an identity call of 256 B took 1.4 times the CPU
 * (docs/performance.md).
 */
const EARLY = [
  '--invocation-count-for-maglev=100',
  '--invocation-count-for-turbofan=800',
  '--minimum-invocations-after-ic-update=100',
];
/** Node 22 has other tiers. */
const FIRST_NODE = 24;

/** To be called when models are loaded: most functions of a start never run again. */
export function optimizeEarly(): void {
  if (Number.parseInt(process.versions.node, 10) < FIRST_NODE) return;
  for (const flag of EARLY) v8.setFlagsFromString(flag);
}
