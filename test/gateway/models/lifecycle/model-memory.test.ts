import { expect, test } from 'vitest';
import { type MeasuredVersion, ModelMemory } from '../../../../src/gateway/models/lifecycle/model-memory.ts';
import type { ModelState } from '../../../../src/gateway/ops/diagnostics.ts';

/** Room for one model, by the estimate for an empty file. */
const LIMIT = 100 * 2 ** 20;

/** A version without a process at the moment. */
function fakeVersion(name: string): MeasuredVersion & { state: ModelState } {
  return { ref: { name, version: '1' }, state: 'LOADING', pid: undefined, modelPaths: ['/nowhere/1/model.onnx'] };
}

async function load(
  memory: ModelMemory,
  arriving: MeasuredVersion & { state: ModelState },
  state: ModelState,
): Promise<void> {
  await memory.reserve([arriving]);
  arriving.state = state;
  await memory.commit([arriving]);
}

test('a version that waits for its next runner keeps its room', async () => {
  const memory = new ModelMemory(LIMIT);
  const served = fakeVersion('a');
  await load(memory, served, 'READY');
  served.state = 'UNAVAILABLE';
  await expect(memory.reserve([fakeVersion('b')])).rejects.toMatchObject({ reason: 'queue_full' });
  memory.release(served);
  await memory.reserve([fakeVersion('b')]);
});

test('a version whose load failed holds nothing', async () => {
  const memory = new ModelMemory(LIMIT);
  await load(memory, fakeVersion('a'), 'UNAVAILABLE');
  await memory.reserve([fakeVersion('b')]);
});
