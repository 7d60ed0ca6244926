import { describe, expect, test, vi } from 'vitest';
import { Admission } from '../../../../src/gateway/admit/admission.ts';
import { processMemory } from '../../../../src/gateway/dispatch/process-memory.ts';
import type { LifecycleOptions } from '../../../../src/gateway/models/lifecycle/lifecycle-options.ts';
import { ModelMemory } from '../../../../src/gateway/models/lifecycle/model-memory.ts';
import { OnDemand } from '../../../../src/gateway/models/lifecycle/on-demand.ts';
import { FakeCall } from '../../../support/fake-call.ts';
import { failureOf, type LifecycleFixture, startLifecycle } from '../../../support/lifecycle-fixture.ts';
import { additionModel, spreadingModel } from '../../../support/onnx-models.ts';
import { processesOf } from '../../../support/process-tree.ts';
import type { ModelFiles } from '../../../support/repository.ts';
import { PATIENCE_MS } from '../../../support/runners.ts';

const MiB = 2 ** 20;

interface Demanded extends LifecycleFixture {
  readonly onDemand: OnDemand;
  readonly admission: Admission;
  /** Asks for a model as `infer.ts` does. */
  demand(name: string, value: number): Promise<number>;
  loaded(): string[];
}

async function startOnDemand(
  files: Readonly<Record<string, Uint8Array | ModelFiles>>,
  max = 0,
  fields: Partial<LifecycleOptions> = {},
): Promise<Demanded> {
  const fixture = await startLifecycle(files, { initial: [], onDemand: true, ...fields });
  const { lifecycle, models, ask } = fixture;
  const admission = new Admission(1_000);
  const onDemand = new OnDemand(lifecycle, models, admission, max);
  return {
    ...fixture,
    onDemand,
    admission,
    demand: async (name, value) => {
      if (onDemand.isCold(name)) await onDemand.activate(name, new FakeCall(), 100);
      const answer = await ask(name, value);
      const [version] = models.versionsOf(name);
      version?.statistics.recordSuccess(1, { queueMs: 0, inputMs: 0, computeMs: 0, outputMs: 0, batchRows: 1 }, 1);
      // The order of use is known to a millisecond.
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

  test('takes the room of the least recently used model', async () => {
    const files = { a: additionModel(1), b: additionModel(2), c: additionModel(3), kept: pinned };
    const { demand, loaded } = await startOnDemand(files, 3);
    for (const name of ['kept', 'a', 'b', 'a', 'c']) await demand(name, 0);
    expect(loaded()).toEqual(['a', 'c', 'kept']);
    expect(await demand('b', 0)).toBe(2);
    expect(loaded()).toEqual(['b', 'c', 'kept']);
    expect(processesOf(process.pid)).toHaveLength(3);
  });

  test('is answered before it is evicted for one that comes at the same time', async () => {
    const { demand, onDemand } = await startOnDemand({ a: additionModel(1), b: additionModel(2) }, 1);
    const [first, second] = await Promise.allSettled([demand('a', 0), demand('b', 0)]);
    expect(first).toEqual({ status: 'fulfilled', value: 1 });
    // Where the first was still at it, there was no room; that is not held against it.
    if (second?.status === 'rejected') expect(second.reason).toMatchObject({ reason: 'model_not_ready' });
    await vi.waitUntil(
      () =>
        demand('b', 0).then(
          () => true,
          () => false,
        ),
      { timeout: PATIENCE_MS },
    );
    expect(onDemand.isCold('a')).toBe(true);
  });

  test('is refused while no model may be evicted for it', async () => {
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
    expect(first).toMatchObject({ reason: 'model_not_ready', message: expect.stringContaining('is a text file') });
    const again = failureOf(demand('bad', 0));
    expect(await lines()).toEqual([expect.stringMatching(/^bad 1 UNAVAILABLE/)]);
    expect(await again).toEqual(first);
  });

  test.each([
    ['deadline', 'deadline_exceeded'],
    ['client', 'cancelled'],
  ] as const)('is not waited for any longer than its %s does', async (reason, expected) => {
    const { onDemand, admission, demand } = await startOnDemand({ a: additionModel(1) });
    const call = new FakeCall();
    const waiting = failureOf(onDemand.activate('a', call, 100));
    call.cancel(reason);
    expect((await waiting).reason).toBe(expected);
    expect(admission.bytes).toBe(0);
    expect(await demand('a', 0)).toBe(1);
  });

  test('has to be there', async () => {
    const { onDemand, models } = await startOnDemand({ a: additionModel(1) });
    for (const name of ['nope', '', '..']) await onDemand.activate(name, new FakeCall(), 100);
    expect(models.names()).toEqual([]);
    await onDemand.activate('a', new FakeCall(), 100);
    expect(models.names()).toEqual(['a']);
  });
});

/** 68 MiB are reserved for a runner with a model of a few bytes. */
const ROOM_FOR_ONE = 90 * MiB;
/**
 * Taken for the memory of each runner that lives. The kernel charges one with a small model 10 to 93 MiB, by the processes that share its
 * pages and by huge pages: no limit has room for one of those and never for two.
 */
const RUNNER_BYTES = 50 * MiB;

async function sameForEach(pid: number): Promise<number | undefined> {
  return (await processMemory(pid)) === undefined ? undefined : RUNNER_BYTES;
}

function roomForOne(): ModelMemory {
  return new ModelMemory(ROOM_FOR_ONE, sameForEach);
}

const withinOne = (): Partial<LifecycleOptions> => ({ memory: roomForOne() });

describe('where memory is bounded, a model that is asked for', () => {
  test('takes the room of one that is idle', async () => {
    const memory = roomForOne();
    const { demand, loaded } = await startOnDemand({ a: additionModel(1), b: additionModel(2) }, 0, { memory });
    for (const [name, value] of [
      ['a', 1],
      ['b', 2],
      ['a', 1],
    ] as const) {
      expect(await demand(name, 0)).toBe(value);
      expect(loaded()).toEqual([name]);
      const held = [...(await memory.measure())].map(([{ ref }, bytes]) => [ref.name, bytes]);
      expect(held).toEqual([[name, RUNNER_BYTES]]);
    }
    await vi.waitUntil(() => processesOf(process.pid).length === 1, { timeout: PATIENCE_MS });
  });

  test('is answered also where another comes for its room at once', async () => {
    const files = { a: additionModel(1), b: additionModel(2), c: additionModel(3) };
    const { demand, loaded } = await startOnDemand(files, 0, withinOne());
    expect(await Promise.all(['a', 'b', 'c'].map((name) => demand(name, 0)))).toEqual([1, 2, 3]);
    expect(loaded()).toEqual(['c']);
  });

  test('is refused with the reason while no model can be evicted, and admitted as soon as one was unloaded', async () => {
    const files = { a: additionModel(1), kept: pinned };
    const { lifecycle, demand, loaded, lines } = await startOnDemand(files, 0, withinOne());
    await demand('kept', 0);
    const refused = await demand('a', 0).catch((error: unknown) => error);
    expect(refused).toMatchObject({ reason: 'queue_full', pushback: expect.any(Number) });
    expect(refused).toHaveProperty('message', expect.stringMatching(REFUSAL));
    expect(loaded()).toEqual(['kept']);
    expect(await lines()).toContainEqual(expect.stringMatching(/^a {2}UNAVAILABLE there is no room for model 'a'/));
    expect(await demand('kept', 1)).toBe(10);
    lifecycle.unload('kept', { dependents: false });
    await vi.waitUntil(() => processesOf(process.pid).length === 0, { timeout: PATIENCE_MS });
    expect(await demand('a', 0)).toBe(1);
  });

  test('and is an ensemble is refused where its steps have no room together', async () => {
    const through = (model_name: string, from: string, to: string): object => {
      return { model_name, input_map: { input: from }, output_map: { output: to } };
    };
    const tensor = (name: string): object => ({ name, data_type: 'TYPE_FP32', dims: [1] });
    const config = {
      max_batch_size: 4,
      input: [tensor('x')],
      output: [tensor('z')],
      ensemble_scheduling: { step: [through('a', 'x', 'y'), through('b', 'y', 'z')] },
    };
    const both = { versions: { 1: undefined }, config };
    const { demand, ask } = await startOnDemand({ a: additionModel(1), b: additionModel(2), both }, 0, withinOne());
    const { reason, message } = await failureOf(demand('both', 0));
    expect({ reason, message }).toMatchObject({ reason: 'queue_full', message: expect.stringMatching(/model '[ab]'/) });
    expect(['both', 'a', 'b'].filter((name) => message.includes(`'${name}'`))).toHaveLength(1);
    await expect(ask('both', 0)).rejects.toThrow("'both'");
  });

  test('evicts nothing when that would not be enough', async () => {
    const large = { versions: { 1: additionModel(1) }, files: { '1/weights.bin': 'x'.repeat(128 * MiB) } };
    const { demand, loaded } = await startOnDemand({ small: additionModel(1), large }, 0, withinOne());
    await demand('small', 0);
    expect(await demand('large', 0).catch((error: unknown) => error)).toMatchObject({
      reason: 'queue_full',
      pushback: 'never',
    });
    expect(loaded()).toEqual(['small']);
  });
});

const REFUSAL =
  /^there is no room for model 'a': it needs \d+ MiB, the others hold \d+ MiB, and all may hold 90 MiB \(modelMemoryBytes\)$/;

describe('where memory is bounded and nothing comes back by itself', () => {
  const explicit = (fields: Partial<LifecycleOptions> = {}): Partial<LifecycleOptions> => ({
    ...withinOne(),
    initial: ['b'],
    ...fields,
  });

  test('a load for which there is no room is refused, and what serves stays', async () => {
    const { lifecycle, ask, lines } = await startLifecycle({ a: additionModel(1), b: additionModel(2) }, explicit());
    const refused = await failureOf(lifecycle.load('a'));
    expect(refused).toMatchObject({ reason: 'queue_full', message: expect.stringMatching(REFUSAL) });
    expect((await ask('b', 0)).value).toBe(2);
    lifecycle.unload('b', { dependents: false });
    await vi.waitUntil(() => processesOf(process.pid).length === 0, { timeout: PATIENCE_MS });
    await lifecycle.load('a');
    expect((await ask('a', 0)).value).toBe(1);
    expect(await lines()).toEqual([expect.stringMatching(/^a 1 READY/), 'b 1 UNAVAILABLE unloaded']);
  });

  test('so is one that would replace what serves, because both would be there', async () => {
    const { lifecycle, repository, ask } = await startLifecycle({ b: additionModel(2) }, explicit());
    repository.publish('b', 1, additionModel(20));
    expect((await failureOf(lifecycle.load('b'))).reason).toBe('queue_full');
    expect((await ask('b', 0)).value).toBe(2);
    expect(processesOf(process.pid)).toHaveLength(1);
  });

  test('a model that turns out to be larger than it seemed goes again', async () => {
    // A file of some bytes: a batch of 64 rows takes 256 MiB.
    const { lifecycle, models, ask, lines } = await startLifecycle(
      { b: additionModel(2), large: spreadingModel(MiB) },
      { memory: new ModelMemory(240 * MiB), initial: ['b'] },
    );
    const first = await failureOf(lifecycle.load('large'));
    expect(first).toMatchObject({
      reason: 'queue_full',
      message: expect.stringContaining("no room for model 'large'"),
    });
    expect(models.versionsOf('large')).toEqual([]);
    expect(await lines()).toContain(`large  UNAVAILABLE ${first.message}`);
    await vi.waitUntil(() => processesOf(process.pid).length === 1, { timeout: PATIENCE_MS });
    expect((await ask('b', 0)).value).toBe(2);
    // Now it is known how much it takes: it is not loaded only to go again.
    const seen: number[] = [];
    const watch = setInterval(() => seen.push(processesOf(process.pid).length), 5);
    expect(await failureOf(lifecycle.load('large'))).toMatchObject({ reason: 'queue_full' });
    clearInterval(watch);
    expect(seen.filter((count) => count > 1)).toEqual([]);
  });

  test('models of the start are loaded while there is room', async () => {
    const files = { a: additionModel(1), b: additionModel(2) };
    const { models, ask } = await startLifecycle(files, explicit({ initial: ['*'] }));
    expect((await ask('a', 0)).value).toBe(1);
    expect(() => models.find('b', '')).toThrow(/model 'b' is not at ready state: there is no room for model 'b'/);
    await vi.waitUntil(() => processesOf(process.pid).length === 1, { timeout: PATIENCE_MS });
  });

  test('models that share a process count once', async () => {
    const shared = (offset: number): ModelFiles => ({
      versions: { 1: additionModel(offset) },
      config: { tensorgate: { runner: 'both' } },
    });
    // How much shared memory a process is charged depends on the other processes: room enough.
    const memory = new ModelMemory(1024 * MiB);
    const { ask } = await startLifecycle({ a: shared(1), b: shared(2) }, { memory });
    expect([(await ask('a', 0)).value, (await ask('b', 0)).value]).toEqual([1, 2]);
    const parts = [...(await memory.measure())];
    const [pid = Number.NaN] = new Set(parts.map(([version]) => version.pid));
    const whole = (await processMemory(pid)) ?? Number.NaN;
    const [one = 0, other] = parts.map(([, bytes]) => bytes);
    expect(one).toBe(other);
    expect(2 * one).toBeGreaterThan(0.7 * whole);
    expect(2 * one).toBeLessThan(1.4 * whole);
  });
});
