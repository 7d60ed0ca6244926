import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';

const MODULE = new URL('../src/early-optimization.ts', import.meta.url).href;
/** A bit of V8's `%GetOptimizationStatus`: the function has optimized code. */
const OPTIMIZED = 1 << 4;
const MOST_CALLS = 40_000;
const STARTS = 7;
const NODE_MAJOR = Number.parseInt(process.versions.node, 10);

/** Calls until a function that each turn of an event loop calls is optimized; at most `MOST_CALLS`. */
function callsUntilOptimized(setUp: string): number {
  const program = `
    ${setUp}
    function f(a) {
      let sum = 0;
      for (let i = 0; i < 3; i++) sum += a.x * i + (a.y ?? 1);
      return sum;
    }
    let calls = 0;
    const turn = () => {
      f({ x: calls++, y: 1 });
      const isDone = calls >= ${MOST_CALLS} || (%GetOptimizationStatus(f) & ${OPTIMIZED}) !== 0;
      if (isDone) console.log(calls);
      else setImmediate(turn);
    };
    turn();`;
  const flags = ['--allow-natives-syntax', '--input-type=module', '--eval', program];
  return Number(execFileSync(process.execPath, flags, { encoding: 'utf8' }));
}

/** Threads of V8 optimize, so that the number of calls differs from start to start. */
function medianCalls(setUp: string): number {
  const calls = Array.from({ length: STARTS }, () => callsUntilOptimized(setUp)).sort((one, other) => one - other);
  return calls[STARTS >> 1] ?? Number.NaN;
}

test.runIf(NODE_MAJOR >= 24)('a function that runs often is optimized after fewer calls than by default', () => {
  const early = medianCalls(`(await import('${MODULE}')).optimizeEarly();`);
  expect(early).toBeLessThan(medianCalls(''));
});
