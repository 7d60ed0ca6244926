/** Servers for the tests of callers: what `tensorgate/testing` exports. */

import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { type EmbeddedServer, type ServerOptions, startEmbedded } from '../embed/server-start.ts';
import { isModelName } from '../gateway/repository/model-repository.ts';
import type { FakeModel } from './fake-model.ts';
import { configOf } from './fake-signature.ts';
import { type Fault, Faults } from './fault.ts';
import { FunctionModel } from './function-model.ts';

export type { EmbeddedServer } from '../embed/server-start.ts';
export type { Reason } from '../gateway/errors.ts';
export { type FakeModel, type FakeTensor, type FakeTensors, type FakeValues, fakeModel } from './fake-model.ts';
export type { Fault } from './fault.ts';

/** Settings of `docs/configuration.md` by their keys, besides the models. */
export interface TestServerOptions extends Omit<ServerOptions, 'models'> {
  /** The models, by name; each has version 1. */
  readonly models: Readonly<Record<string, FakeModel>>;
}

export interface TestServer extends EmbeddedServer {
  /**
   * Switches a fault on for the calls of a model: until the result is disposed, or the fault has met its number of `calls`. The
   * request is validated before. Several faults act in the order of their start.
   * @throws RangeError where there is no such model
   */
  inject(model: string, fault: Fault): Disposable;
}

const VERSION = '1';

/**
 * Starts a server of fake models in this process, on free ports. It speaks the protocol as every tensorgate server: deadlines,
 * validation, statuses, health, REST and metrics are real. Nothing native is loaded, and no child process is started. Resolves
 * when the models are ready.
 *
 * ```ts
 * await using server = await createTestServer({ models: { double } });
 * using _slow = server.inject('double', { kind: 'latency', ms: 300 });
 * ```
 * @throws SettingsError with every setting that is wrong
 * @throws TypeError where a model is described wrongly
 */
export async function createTestServer({ models, ...settings }: TestServerOptions): Promise<TestServer> {
  const fakes = new Map(Object.entries(models).map(([name, model]) => [name, { model, faults: new Faults() }]));
  const directory = await fs.mkdtemp(path.join(os.tmpdir(), 'tensorgate-testing-'));
  const remove = (): Promise<void> => fs.rm(directory, { recursive: true, force: true });
  try {
    for (const [name, { model }] of fakes) await writeFolder(directory, name, model);
    const options = { grpcPort: 0, httpPort: 0, logLevel: 'silent', ...settings } as const;
    const server = await startEmbedded({ ...options, models: directory }, (plan) => {
      const fake = fakes.get(plan.ref.name);
      return fake && new FunctionModel(plan, fake.model, fake.faults);
    });
    const close = (): Promise<void> => server.close().finally(remove);
    try {
      await server.ready;
    } catch (error) {
      await close();
      throw error;
    }
    return {
      ...server,
      inject: (name, fault) => {
        const fake = fakes.get(name);
        if (fake !== undefined) return fake.faults.add(fault);
        throw new RangeError(`there is no fake model '${name}': expected one of ${[...fakes.keys()].join(', ')}`);
      },
      close,
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await remove();
    throw error;
  }
}

async function writeFolder(directory: string, name: string, model: FakeModel): Promise<void> {
  if (!isModelName(name)) throw new TypeError(`'${name}' is no model name: use letters, digits, '.', '_' and '-'`);
  await fs.mkdir(path.join(directory, name, VERSION), { recursive: true });
  await fs.writeFile(path.join(directory, name, 'config.json'), JSON.stringify(configOf(name, model)));
}
