import { expect, onTestFinished, test, vi } from 'vitest';
import { diagnostics } from '../../../src/gateway/ops/diagnostics.ts';
import { collectWhenIdle } from '../../../src/gateway/ops/idle-collection.ts';
import { collectGarbage } from '../../support/collect-garbage.ts';

const HELD_BYTES = 256 * 2 ** 20;
/** Less than the smallest buffer that `holdBuffers` takes. */
const NOISE_BYTES = 15 * 2 ** 20;

/** Buffers of `HELD_BYTES`, until they are dropped. */
function holdBuffers(): { drop(): void } {
  const buffers = Array.from({ length: 16 }, () => Buffer.alloc(HELD_BYTES / 16));
  return { drop: () => void buffers.splice(0) };
}

function buffersBytes(): number {
  return process.memoryUsage().arrayBuffers;
}

async function untilFreed(others: number): Promise<void> {
  await vi.waitUntil(() => buffersBytes() < others + NOISE_BYTES, { timeout: 30_000, interval: 100 });
}

/** Buffers of whatever ran before in this process: garbage of it is collected first, since it would be freed too. */
function othersBytes(): number {
  collectGarbage();
  return buffersBytes();
}

test('buffers that nothing refers to any longer are freed while the process is idle', async () => {
  onTestFinished(collectWhenIdle());
  const others = othersBytes();
  holdBuffers().drop();
  expect(buffersBytes()).toBeGreaterThanOrEqual(others + HELD_BYTES);
  await untilFreed(others);
});

test('buffers that outlived collections are freed soon after a limit has cut what held them', async () => {
  onTestFinished(collectWhenIdle());
  const others = othersBytes();
  const held = holdBuffers();
  // Two collections, which free nothing.
  await new Promise((resolve) => setTimeout(resolve, 7_000));
  expect(buffersBytes()).toBeGreaterThan(others + HELD_BYTES - NOISE_BYTES);
  held.drop();
  diagnostics.limitReached.publish({ limit: 'httpStallMs' });
  await untilFreed(others);
});
