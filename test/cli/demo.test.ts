import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

test('the demo classifies ten images in batches, ends with 0, and leaves no process', async () => {
  const demo = fileURLToPath(new URL('../../examples/cifar10/demo.ts', import.meta.url));
  // A process group of its own, so that whatever it leaves can be found.
  const child = spawn(process.execPath, [demo], { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const exited = once(child, 'exit');
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), exited]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const rows = stdout
    .split('\n')
    .filter((line) => /^\w+-\d+\.png /.test(line))
    .map((line) => line.split(/\s{2,}/));
  expect(rows).toHaveLength(10);
  expect(rows.some(([, , , batchRows]) => Number(batchRows) > 1)).toBe(true);
  expect(stdout).toMatch(/^one image: [\d.]+ ms; 10 images at the same time: [\d.]+ ms$/m);
  expect(stdout).toMatch(/(9|10) of 10 are right; the server ended with exit code 0\n$/);
  expect(() => process.kill(-(child.pid ?? 0), 0)).toThrow('ESRCH');
});
