import { describe, expect, test } from 'vitest';
import { Admission } from '../../src/gateway/admit/admission.ts';
import { OnDemand } from '../../src/gateway/on-demand.ts';
import { FakeCall } from '../support/fake-call.ts';
import { failureOf, type LifecycleFixture, startLifecycle } from '../support/lifecycle-fixture.ts';
import { additionModel } from '../support/onnx-models.ts';
import { processesOf } from '../support/process-tree.ts';
import type { ModelFiles } from '../support/repository.ts';

interface Demanded extends LifecycleFixture {
  readonly onDemand: OnDemand;
  readonly admission: Admission;
  /** Asks for a model as `infer.ts` does. */
  demand(name: string, value: number): Promise<number>;
  loaded(): string[];
}

async function startOnDemand(files: Readonly<Record<string, Uint8Array | ModelFiles>>, max = 0): Promise<Demanded> {
  const fixture = await startLifecycle(files, { initial: [] });
  const { lifecycle, models, ask } = fixture;
  const admission = new Admission(1_000);
  const onDemand = new OnDemand(lifecycle, models, admission, max);
  return {
    ...fixture,
    onDemand,
    admission,
    demand: async (name, value) => {
      if (onDemand.sleeps(name)) await onDemand.rouse(name, new FakeCall(), 100);
      const answer = await ask(name, value);
      const [version] = models.versionsOf(name);
      version?.statistics.recordSuccess(1, { queueMs: 0, inputMs: 0, computeMs: 0, outputMs: 0, batchRows: 1 }, 1);
      // Which was last is told in milliseconds.
      const now = Date.now();
      while (Date.now() === now);
      return answer.value;
    },
    loaded: () => models.all().map(({ ref }) => ref.name),
  };
}

const pinned = { versions: { 1: additionModel(9) }, config: { tensorgate: { pinned: true } } };

describe('a model that is asked for', () => {
  test('is loaded once for all who wait for it, who hold room meanwhile', async () => {
    const { demand, admission, loaded } = await startOnDemand({ a: additionModel(1), b: additionModel(2) });
    expect(loaded()).toEqual([]);
    const asked = [demand('a', 1), demand('a', 2), demand('a', 3)];
    expect(admission.bytes).toBe(300);
    expect(await Promise.all(asked)).toEqual([2, 3, 4]);
    expect(admission.bytes).toBe(0);
    expect(loaded()).toEqual(['a']);
    expect(processesOf(process.pid)).toHaveLength(1);
  });

  test('takes the room of the one that was not asked for the longest', async () => {
    const files = { a: additionModel(1), b: additionModel(2), c: additionModel(3), kept: pinned };
    const { demand, loaded } = await startOnDemand(files, 3);
    for (const name of ['kept', 'a', 'b', 'a', 'c']) await demand(name, 0);
    expect(loaded()).toEqual(['a', 'c', 'kept']);
    expect(await demand('b', 0)).toBe(2);
    expect(loaded()).toEqual(['b', 'c', 'kept']);
    expect(processesOf(process.pid)).toHaveLength(3);
  });

  test('is refused where nobody may go for it', async () => {
    const { demand } = await startOnDemand({ a: additionModel(1), kept: pinned }, 1);
    await demand('kept', 0);
    expect(await failureOf(demand('a', 0))).toEqual({
      reason: 'model_not_ready',
      message:
        "model 'a' is not at ready state: there is no room: 1 models are loaded (maxLoadedModels), and each is pinned, needed or busy",
    });
    expect(await demand('kept', 1)).toBe(10);
  });

  test('and does not load is not tried again for each request', async () => {
    const { demand, lines } = await startOnDemand({ bad: Buffer.from('no model') });
    const first = await failureOf(demand('bad', 0));
    expect(first).toMatchObject({ reason: 'model_not_ready', message: expect.stringContaining('Protobuf') });
    const again = failureOf(demand('bad', 0));
    expect(lines()).toEqual([expect.stringMatching(/^bad 1 UNAVAILABLE/)]);
    expect(await again).toEqual(first);
  });

  test.each([
    ['deadline', 'deadline_exceeded'],
    ['client', 'cancelled'],
  ] as const)('is not waited for any longer than its %s does', async (reason, expected) => {
    const { onDemand, admission, demand } = await startOnDemand({ a: additionModel(1) });
    const call = new FakeCall();
    const waiting = failureOf(onDemand.rouse('a', call, 100));
    call.cancel(reason);
    expect((await waiting).reason).toBe(expected);
    expect(admission.bytes).toBe(0);
    expect(await demand('a', 0)).toBe(1);
  });

  test('has to be there', async () => {
    const { onDemand } = await startOnDemand({ a: additionModel(1) });
    expect(['a', 'nope', '', '..'].map((name) => onDemand.sleeps(name))).toEqual([true, false, false, false]);
  });
});
