import { expect, test, vi } from 'vitest';
import { collectWhenIdle } from '../../../src/gateway/ops/idle-collection.ts';

const MiB = 2 ** 20;

/** Bytes of buffers while it holds 256 MiB of them, which it then drops. */
function peakOfDroppedBuffers(): number {
  const buffers = Array.from({ length: 16 }, () => Buffer.alloc(16 * MiB));
  return process.memoryUsage().arrayBuffers + 0 * buffers.length;
}

test('buffers that nothing refers to any longer are freed while the process is idle', async () => {
  const stop = collectWhenIdle();
  const peak = peakOfDroppedBuffers();
  expect(peak).toBeGreaterThan(256 * MiB);
  const freed = (): boolean => process.memoryUsage().arrayBuffers < peak - 240 * MiB;
  expect(freed()).toBe(false);
  await vi.waitUntil(freed, { timeout: 30_000, interval: 100 });
  stop();
});
