import { expect, onTestFinished, test, vi } from 'vitest';
import { diagnostics } from '../../../src/gateway/ops/diagnostics.ts';
import { collectWhenIdle } from '../../../src/gateway/ops/idle-collection.ts';

const MiB = 2 ** 20;

/** Buffers of 256 MiB, until they are dropped. */
function holdBuffers(): { drop(): void } {
  const buffers = Array.from({ length: 16 }, () => Buffer.alloc(16 * MiB));
  return { drop: () => void buffers.splice(0) };
}

function buffersBytes(): number {
  return process.memoryUsage().arrayBuffers;
}

async function untilFreed(peak: number): Promise<void> {
  await vi.waitUntil(() => buffersBytes() < peak - 240 * MiB, { timeout: 30_000, interval: 100 });
}

test('buffers that nothing refers to any longer are freed while the process is idle', async () => {
  onTestFinished(collectWhenIdle());
  holdBuffers().drop();
  const peak = buffersBytes();
  expect(peak).toBeGreaterThan(256 * MiB);
  await untilFreed(peak);
});

test('buffers that outlived collections are freed soon after a limit has cut what held them', async () => {
  onTestFinished(collectWhenIdle());
  const held = holdBuffers();
  const peak = buffersBytes();
  // Two collections, which free nothing.
  await new Promise((resolve) => setTimeout(resolve, 7_000));
  expect(buffersBytes()).toBeGreaterThan(peak - MiB);
  held.drop();
  diagnostics.limitReached.publish({ limit: 'httpStallMs' });
  await untilFreed(peak);
});
