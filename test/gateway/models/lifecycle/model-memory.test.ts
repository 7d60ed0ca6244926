import { expect, test } from 'vitest';
import { ModelMemory, type Occupant } from '../../../../src/gateway/models/lifecycle/model-memory.ts';
import type { ModelState } from '../../../../src/gateway/ops/diagnostics.ts';

/** Room for one model, by the estimate for an empty file. */
const LIMIT = 100 * 2 ** 20;

/** A version without a process at the moment. */
function occupant(name: string): Occupant & { state: ModelState } {
  return { ref: { name, version: '1' }, state: 'LOADING', pid: undefined, modelPaths: ['/nowhere/1/model.onnx'] };
}

async function load(memory: ModelMemory, arriving: Occupant & { state: ModelState }, state: ModelState): Promise<void> {
  await memory.reserve([arriving]);
  arriving.state = state;
  await memory.settle([arriving]);
}

test('a version that waits for its next runner keeps its room', async () => {
  const memory = new ModelMemory(LIMIT);
  const served = occupant('a');
  await load(memory, served, 'READY');
  served.state = 'UNAVAILABLE';
  await expect(memory.reserve([occupant('b')])).rejects.toMatchObject({ reason: 'queue_full' });
  memory.leave(served);
  await memory.reserve([occupant('b')]);
});

test('a version whose load failed holds nothing', async () => {
  const memory = new ModelMemory(LIMIT);
  await load(memory, occupant('a'), 'UNAVAILABLE');
  await memory.reserve([occupant('b')]);
});
