import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import { expect, onTestFinished, test } from 'vitest';
import { preferAsOomVictim, residentBytes, runMemoryLimit } from '../../../src/gateway/dispatch/runner-memory.ts';
import { pidOf, startRunner } from '../../support/runners.ts';

function scoreOf(pid: number | 'self'): number {
  return Number(fs.readFileSync(`/proc/${pid}/oom_score_adj`, 'utf8'));
}

test('a runner is ended before the gateway where the system runs out of memory', () => {
  expect(scoreOf(pidOf(startRunner()))).toBe(Math.min(1_000, scoreOf('self') + 500));
});

test('a process that has ended is not touched, and holds nothing', async () => {
  const child = spawn('true');
  onTestFinished(() => void child.kill());
  const { pid = 0 } = child;
  await new Promise((resolve) => child.once('exit', resolve));
  expect(() => preferAsOomVictim(pid)).not.toThrow();
  expect(residentBytes(pid)).toBe(0);
});

test('the memory of a process is what the system says of it', () => {
  const { rss } = process.memoryUsage();
  expect(Math.abs(residentBytes(process.pid) - rss)).toBeLessThan(64 * 2 ** 20);
});

test('a run may take half of the memory that there is', () => {
  expect(runMemoryLimit()).toBeGreaterThan(0);
  expect(runMemoryLimit()).toBeLessThanOrEqual(os.totalmem() / 2);
});
