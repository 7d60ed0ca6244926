import { fork } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { processMemory } from '../../../src/gateway/dispatch/process-memory.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

const MiB = 2 ** 20;

test('what a process holds is counted in bytes, until it is gone', async () => {
  const program = path.join(temporaryDirectory(), 'hold.cjs');
  fs.writeFileSync(
    program,
    `let held;
    process.on('message', () => { held = Buffer.alloc(${64 * MiB}, 1); process.send(held.length); });
    process.send(0);`,
  );
  const child = fork(program, [], { execArgv: [] });
  const { pid = 0 } = child;
  await once(child, 'message');
  const before = (await processMemory(pid)) ?? 0;
  expect(before).toBeGreaterThan(5 * MiB);
  child.send('hold');
  await once(child, 'message');
  const grown = ((await processMemory(pid)) ?? 0) - before;
  expect(grown).toBeGreaterThan(56 * MiB);
  expect(grown).toBeLessThan(80 * MiB);
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(await processMemory(pid)).toBeUndefined();
});
