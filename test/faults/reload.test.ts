/** Models that change while they serve: no request is refused for it, and every answer names the right version. */

import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { InferenceClient, type InferenceResult, tensor } from '../../src/client/inference-client.ts';
import { ACCEPTORS } from '../support/acceptors.ts';
import { type Caller, DOORS, type Doors } from '../support/caller.ts';
import { additionModel } from '../support/onnx-models.ts';
import { memoryOfTree } from '../support/process-tree.ts';
import { Repository } from '../support/repository.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { StockClient } from '../support/stock-client.ts';
import { heldMailboxes, namedMailboxes, readMetrics, readReadiness } from './observation.ts';

interface Operated {
  readonly server: TestServer;
  readonly repository: Repository;
  readonly client: InferenceClient;
  load(name: string): Promise<void>;
  unload(name: string): Promise<void>;
  /** Such as `m 1 READY`. */
  lines(): Promise<string[]>;
}

/** Version N of the model `m` adds N. */
async function operate(tensorgate: object = {}): Promise<Operated> {
  const config = { instance_group: [{ count: 1 }], max_batch_size: 4, tensorgate };
  const repository = new Repository({ m: { versions: { 1: additionModel(1) }, config } });
  const flags = ['--log-level', 'error', '--model-control-mode', 'explicit', '--load-model', 'm'];
  const server = await startServer(repository.directory, { flags });
  const stock = new StockClient(server.grpc);
  const client = new InferenceClient(server.grpc, { deadlineMs: 20_000 });
  onTestFinished(async () => {
    client.close();
    stock[Symbol.dispose]();
    await server.stop();
    repository[Symbol.dispose]();
  });
  return {
    server,
    repository,
    client,
    load: async (name) => void (await stock.call('RepositoryModelLoad', { model_name: name })),
    unload: async (name) => void (await stock.call('RepositoryModelUnload', { model_name: name })),
    lines: async () => {
      const { models } = await stock.call('RepositoryIndex');
      return models.map(({ name, version, state, reason }: Record<string, string>) =>
        `${name} ${version} ${state} ${reason}`.trim(),
      );
    },
  };
}

function ask(client: Pick<Caller, 'infer'>, value: number): Promise<InferenceResult> {
  return client.infer('m', { input: tensor.fp32([value], [1, 1]) });
}

/** The version that a model must have had to answer so. */
function makerOf(result: InferenceResult, value: number): number {
  return (result.output('output', 'FP32').data[0] ?? Number.NaN) - value;
}

/** Callers that send one request after another through all doors, each with a number of its own. */
class Callers implements AsyncDisposable {
  answered = 0;
  readonly versions = new Set<number>();
  readonly faults: string[] = [];
  #next = 0;
  #stopping = false;
  readonly #callers: readonly Caller[];
  readonly #ended: Promise<unknown>;

  /** @param lanes requests under way at a time through each door. */
  constructor(server: Doors, lanes: number) {
    this.#callers = DOORS.map((door) => door.connect(server));
    const callers = this.#callers.flatMap((caller) => Array.from({ length: lanes }, () => this.#call(caller)));
    this.#ended = Promise.all(callers);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#ended;
    for (const caller of this.#callers) caller.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #call(caller: Caller): Promise<void> {
    while (!this.#stopping && this.faults.length === 0) {
      // Small enough that sums are exact.
      const value = ++this.#next % 100_000;
      try {
        const result = await ask(caller, value);
        const maker = makerOf(result, value);
        this.versions.add(maker);
        this.answered++;
        if (String(maker) !== result.modelVersion) this.faults.push(`${maker} answered as ${result.modelVersion}`);
      } catch (error) {
        this.faults.push(String(error));
      }
    }
  }
}

describe('a model that is loaded again and again under traffic', () => {
  test.each([
    { where: 'a new runner each time', reloads: 40, tensorgate: {} },
    { where: 'a shared runner', reloads: 160, tensorgate: { runner: 'shared', row_independence: 'assume' } },
  ])(
    'fails no request and mixes no versions, in $where',
    async ({ reloads, tensorgate }) => {
      const { server, repository, client, load, lines } = await operate(tensorgate);
      await using callers = new Callers(server, 3);
      let unready = 0;
      for (let version = 2; version <= reloads + 1; version++) {
        repository.publish('m', version, additionModel(version));
        repository.withdraw('m', version - 1);
        await load('m');
        // A request after the load gets the new version.
        expect(makerOf(await ask(client, 0), 0)).toBe(version);
        if ((await readReadiness(server)).code !== 200) unready++;
      }
      await callers.stop();
      expect(callers.faults).toEqual([]);
      expect(callers.answered).toBeGreaterThan(reloads * 10);
      expect(callers.versions.size).toBeGreaterThan(reloads / 2);
      expect(unready).toBe(0);
      await vi.waitUntil(() => server.runnerPids().length === 1, { timeout: 20_000 });
      expect(await lines()).toContain(`m ${reloads + 1} READY`);
      expect(namedMailboxes(server.pid)).toEqual([]);
      expect(heldMailboxes(server.pid)).toBe(1);
    },
    240_000,
  );
});

test('a load that fails leaves readiness and what serves as they are', async () => {
  const { server, repository, load, lines } = await operate();
  await using callers = new Callers(server, 2);
  repository.publish('m', 1, Buffer.from('no model'));
  await expect(load('m')).rejects.toMatchObject({
    details: expect.stringMatching(/^load failed for model 'm': version 1 is at UNAVAILABLE state: .*is a text file/),
  });
  expect((await readReadiness(server)).code).toBe(200);
  await callers.stop();
  expect(callers.faults).toEqual([]);
  expect([...callers.versions]).toEqual([1]);
  expect(await lines()).toEqual([expect.stringMatching(/^m 1 READY .*is a text file/)]);
});

test('50 loads and unloads leave no runner and no memory', async () => {
  const { server, client, load, unload, lines } = await operate();
  const cycle = async (): Promise<void> => {
    await unload('m');
    await vi.waitUntil(async () => (await lines()).includes('m 1 UNAVAILABLE unloaded'), { timeout: 20_000 });
    await vi.waitUntil(() => server.runnerPids().length === 0, { timeout: 20_000, interval: 5 });
    await load('m');
  };
  expect(makerOf(await ask(client, 0), 0)).toBe(1);
  // The first ones grow the heap to what it takes.
  for (let count = 0; count < 10; count++) await cycle();
  const before = memoryOfTree(server.pid);
  for (let count = 0; count < 50; count++) await cycle();
  expect(makerOf(await ask(client, 0), 0)).toBe(1);
  expect(server.runnerPids()).toHaveLength(1);
  // The young generation of each acceptor's heap grows to 16 MiB before it is collected.
  const ofAcceptors = ACCEPTORS > 1 ? ACCEPTORS * 16 * 2 ** 20 : 0;
  // What one load leaves would be there 50 times. Garbage that V8 has not collected yet takes up to a tenth.
  expect(memoryOfTree(server.pid)).toBeLessThan(before * 1.25 + ofAcceptors);
  expect(heldMailboxes(server.pid)).toBe(1);
  expect((await readReadiness(server)).code).toBe(200);
}, 240_000);

test('a load without enough memory is refused, the serving models stay, and operators see the memory in use', async () => {
  const model = (offset: number) => ({
    versions: { 1: additionModel(offset) },
    config: { instance_group: [{ count: 1 }] },
  });
  using repository = new Repository({ m: model(1), other: model(2) });
  const budget = ['--model-memory-bytes', String(110 * 2 ** 20)];
  await using server = await startServer(repository.directory, {
    flags: ['--model-control-mode', 'explicit', '--load-model', 'm', ...budget, '--log-level', 'error'],
  });
  using stock = new StockClient(server.grpc);
  const client = new InferenceClient(server.grpc, { deadlineMs: 20_000 });
  onTestFinished(() => client.close());
  await expect(stock.call('RepositoryModelLoad', { model_name: 'other' })).rejects.toMatchObject({
    code: 8,
    details: expect.stringMatching(/^there is no room for model 'other': it needs \d+ MiB, the others hold \d+ MiB/),
  });
  expect(makerOf(await ask(client, 0), 0)).toBe(1);
  const metrics = await readMetrics(server);
  expect(metrics('tensorgate_model_memory_bytes', { model: 'm' })).toBeGreaterThan(20 * 2 ** 20);
  await stock.call('RepositoryModelUnload', { model_name: 'm' });
  await vi.waitUntil(() => server.runnerPids().length === 0, { timeout: 20_000 });
  await stock.call('RepositoryModelLoad', { model_name: 'other' });
  expect((await readMetrics(server))('tensorgate_model_memory_bytes', { model: 'm' })).toBe(0);
}, 60_000);

test('a request for a model that is not loaded waits for it, where the server loads on demand', async () => {
  using repository = new Repository({ m: additionModel(1), other: additionModel(2) });
  const flags = ['--model-control-mode', 'explicit', '--load-on-demand', 'true', '--max-loaded-models', '1'];
  await using server = await startServer(repository.directory, {
    flags: [...flags, '--load-model', 'm', '--log-level', 'error'],
  });
  const client = new InferenceClient(server.grpc, { deadlineMs: 20_000 });
  onTestFinished(() => client.close());
  const inputs = { input: tensor.fp32([1], [1, 1]) };
  for (const [name, sum] of [
    ['m', 2],
    ['other', 3],
    ['m', 2],
  ] as const) {
    expect((await client.infer(name, inputs)).output('output', 'FP32').data[0]).toBe(sum);
    expect(server.runnerPids()).toHaveLength(1);
  }
  expect(await client.modelReady('other')).toBe(false);
  expect(await client.serverReady()).toBe(true);
});
