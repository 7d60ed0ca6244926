import { onTestFinished, vi } from 'vitest';
import { Admission } from '../../src/gateway/admit/admission.ts';
import { type InferTensors, UNIT_ROW } from '../../src/gateway/admit/infer-tensors.ts';
import { NO_TERMS } from '../../src/gateway/admit/request-terms.ts';
import { DeviceSet } from '../../src/gateway/dispatch/device-set.ts';
import { RunnerSet } from '../../src/gateway/dispatch/runner-set.ts';
import type { InferError } from '../../src/gateway/errors.ts';
import { CallGateway } from '../../src/gateway/models/code/call-gateway.ts';
import type { LifecycleOptions } from '../../src/gateway/models/lifecycle/lifecycle-options.ts';
import { ModelLifecycle } from '../../src/gateway/models/lifecycle/model-lifecycle.ts';
import { ModelMemory } from '../../src/gateway/models/lifecycle/model-memory.ts';
import { servableFactory } from '../../src/gateway/models/lifecycle/servable-factory.ts';
import { ModelTable } from '../../src/gateway/models/model-table.ts';
import { FakeCall } from './fake-call.ts';
import { patientDefaults } from './plan-defaults.ts';
import { processesOf } from './process-tree.ts';
import { type ModelFiles, Repository } from './repository.ts';
import { PATIENCE_MS } from './runners.ts';

/** What a model that adds something answered, and which version it was that was found. */
export interface Answer {
  readonly version: string;
  readonly value: number;
}

export interface LifecycleFixture {
  readonly lifecycle: ModelLifecycle;
  readonly models: ModelTable;
  readonly repository: Repository;
  /** Asks as a call does: it finds a version and queues in one turn of the event loop. */
  ask(name: string, value: number, version?: string): Promise<Answer>;
  /** The index as `name version state reason` lines. */
  lines(): Promise<string[]>;
}

/** The models of a server with real runners, without its transport; all of it is gone after the test. */
export async function startLifecycle(
  files: Readonly<Record<string, Uint8Array | ModelFiles>>,
  fields: Partial<LifecycleOptions> = {},
): Promise<LifecycleFixture> {
  const repository = new Repository(files);
  const models = new ModelTable();
  const runners = new RunnerSet(process.env);
  const lifecycle = new ModelLifecycle(
    models,
    servableFactory(runners, new DeviceSet(1), { models, admission: new Admission(2 ** 20), calls: new CallGateway() }),
    {
      repository: repository.directory,
      mode: 'explicit',
      initial: ['*'],
      pollIntervalMs: 20,
      allowsUpload: false,
      onDemand: false,
      memory: new ModelMemory(),
      defaults: patientDefaults(),
      ...fields,
    },
  );
  onTestFinished(async () => {
    await lifecycle.close();
    await runners.close();
    await vi.waitUntil(() => processesOf(process.pid).length === 0, { timeout: PATIENCE_MS });
    repository[Symbol.dispose]();
  });
  await lifecycle.plan();
  await lifecycle.start();
  return {
    lifecycle,
    models,
    repository,
    ask: async (name, value, version = '') => {
      const found = models.find(name, version);
      const { outputs } = await found.ready.batcher.enqueue(oneRow(value), new FakeCall(), NO_TERMS);
      return { version: found.ref.version, value: Buffer.from(outputs[0]?.data ?? []).readFloatLE() };
    },
    lines: async () =>
      (await lifecycle.index()).map((entry) => `${entry.name} ${entry.version} ${entry.state} ${entry.reason}`.trim()),
  };
}

function oneRow(value: number): InferTensors {
  const data = new Uint8Array(new Float32Array([value]).buffer);
  return { rows: 1, bytes: 4, size: UNIT_ROW, bucket: '1,;', inputs: [data], shapes: [[1, 1]] };
}

/** How an order or a request ended that had to fail. */
export async function failureOf(promise: Promise<unknown>): Promise<Pick<InferError, 'reason' | 'message'>> {
  return promise.then(
    () => {
      throw new Error('it did not fail');
    },
    ({ reason, message }: InferError) => ({ reason, message }),
  );
}
