import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

/** As long as a busy machine may take; on an idle one it is a minute. */
const PATIENCE_MS = 400_000;

test('the demo of a rollout runs to its end, exits with 0, and leaves no process', {
  timeout: PATIENCE_MS,
}, async () => {
  const demo = fileURLToPath(new URL('../../examples/cifar10/rollout-demo.ts', import.meta.url));
  // A process group of its own, so that whatever it leaves can be found.
  const child = spawn(process.execPath, [demo], { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const exited = once(child, 'exit');
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), exited]);
  expect({ code, story: `${stdout}\n${stderr}` }).toEqual({ code: 0, story: expect.any(String) });
  const story = [
    'cifar10 version 1: 1 instance on cpu',
    /^int8 +[\d.]+ % +[\d.]+ % +4\d{6} .* passed$/m,
    /^published: .*\/cifar10\/2 \(int8\), without traffic/m,
    /shadow of 50 %: version 2 is READY/,
    /canary at 1 %: \d+ comparisons, [\d.]+ % agree/,
    /canary at 100 %: /,
    /promoted: /,
    /callers meanwhile: \d+ by version 1, \d+ by version 2; 0 calls failed/,
    /rolled back \(disagreement\): [\d.]+ % agree \(\d+ of \d+, at least 99 % must\)/,
    'version 3 of cifar10 was rolled back, and version 2 answers\n(exit code 1)\ncallers meanwhile: ',
    /^cifar10 +2 +3 +rolled_back +0 % +rolled back \(disagreement\)/m,
    'It went as planned.',
  ];
  let from = 0;
  for (const each of story) {
    const rest = stdout.slice(from);
    const at = typeof each === 'string' ? rest.indexOf(each) : rest.search(each);
    expect(at, `${each} in what is left:\n${rest}`).toBeGreaterThanOrEqual(0);
    from += at;
  }
  expect(() => process.kill(-(child.pid ?? 0), 0)).toThrow('ESRCH');
});
