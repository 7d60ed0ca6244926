import type { Server, UntypedServiceImplementation } from '@grpc/grpc-js';
import { afterEach, expect, test } from 'vitest';
import { answer, type Message, startFakeServer, type UnaryHandler } from '../client/fake-server.ts';
import { type Ended, runCommandLine } from './command-line.ts';

let server: Server | undefined;

afterEach(() => server?.forceShutdown());

async function models(methods: UntypedServiceImplementation, ...args: string[]): Promise<Ended> {
  const fake = await startFakeServer(methods);
  server = fake.server;
  return runCommandLine(['models', '--url', fake.target, ...args]);
}

const METADATA = {
  inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }],
  outputs: [{ name: 'y', datatype: 'INT64', shape: [-1] }],
};

/** A configuration for each model, as a server other than tensorgate has them too. */
const CONFIGS: Record<string, Message> = {
  gate: {
    max_batch_size: 64,
    instance_group: [{ kind: 'KIND_CPU', count: 3 }],
    parameters: {
      batching: { string_value: 'on (axis 0, max 64)' },
      execution_provider: { string_value: 'cpu' },
    },
  },
  fixed: {
    instance_group: [{ kind: 'KIND_GPU', count: 2 }],
    parameters: { batching: { string_value: "off: output 'y' has a fixed first axis" } },
  },
  triton: { max_batch_size: 8, dynamic_batching: { preferred_batch_size: [8] } },
  still: { max_batch_size: 8 },
  single: { max_batch_size: 0 },
};

const describeModel: UnaryHandler = ({ request }, reply) =>
  reply(null, { name: request['name'], versions: [request['version']], ...METADATA });

const configure: UnaryHandler = ({ request }, reply) => reply(null, { config: CONFIGS[request['name']] ?? {} });

const repository = (...stats: [name: string, version: string][]): UntypedServiceImplementation => ({
  ModelStatistics: answer({ model_stats: stats.map(([name, version]) => ({ name, version })) }),
  ModelMetadata: describeModel,
  ModelConfig: configure,
});

const rows = ({ stdout }: Ended): string[][] =>
  stdout
    .trimEnd()
    .split('\n')
    .map((line) => line.split(/\s{2,}/));

test('lists models by name and version, with their inputs, outputs, and why batching is off', async () => {
  const ended = await models(repository(['gate', '10'], ['gate', '9'], ['fixed', '1']));
  expect(ended).toMatchObject({ code: 0, stderr: '' });
  expect(rows(ended)).toEqual([
    ['model', 'version', 'state', 'default', 'instances', 'inputs', 'outputs', 'batching'],
    ['fixed', '1', 'READY', 'yes', '2 on gpu', 'x FP32[-1,2]', 'y INT64[-1]', "off: output 'y' has a fixed first axis"],
    ['gate', '9', 'READY', '3 on cpu', 'x FP32[-1,2]', 'y INT64[-1]', 'on (axis 0, max 64)'],
    ['gate', '10', 'READY', 'yes', '3 on cpu', 'x FP32[-1,2]', 'y INT64[-1]', 'on (axis 0, max 64)'],
  ]);
});

test('lists no detokenizer of a folder that is ready, except in JSON', async () => {
  const methods = repository(['gate', '1'], ['gate:detokenizer', '1'], ['gate:tokenizer', '1']);
  expect(rows(await models(methods)).map(([name]) => name)).toEqual(['model', 'gate', 'gate:tokenizer']);
  server?.forceShutdown();
  const { stdout } = await models(methods, '--json');
  expect((JSON.parse(stdout) as { name: string }[]).map(({ name }) => name)).toContain('gate:detokenizer');
});

test('reads from the configuration whether another server batches', async () => {
  const ended = await models(repository(['single', '1'], ['still', '1'], ['triton', '1']));
  expect(rows(ended).map((row) => row.at(-1))).toEqual([
    'batching',
    'off: max_batch_size is 0',
    'off: no dynamic_batching in its configuration',
    'on (max 8)',
  ]);
});

test('lists models that are not ready last, with the reason, also models that were never loaded', async () => {
  const index = [
    { name: 'gate', version: '1', state: 'READY', reason: '' },
    { name: 'lost', version: '3', state: 'UNAVAILABLE', reason: 'restarting: attempt 7, next in 12 s' },
    { name: 'never', version: '', state: '', reason: '' },
  ];
  const methods = { ...repository(['gate', '1']), RepositoryIndex: answer({ models: index }) };
  const ended = await models(methods);
  expect(rows(ended).slice(2)).toEqual([
    [''],
    ['model', 'version', 'state', 'reason'],
    ['lost', '3', 'UNAVAILABLE', 'restarting: attempt 7, next in 12 s'],
    ['never', 'not loaded'],
  ]);
  server?.forceShutdown();
  const { stdout } = await models(methods, '--json');
  expect(JSON.parse(stdout)).toMatchObject([{ name: 'gate', state: 'READY' }, index[1], index[2]]);
});

test('prints the same as JSON', async () => {
  const { stdout } = await models(repository(['gate', '1']), '--json');
  expect(JSON.parse(stdout)).toEqual([
    {
      name: 'gate',
      version: '1',
      state: 'READY',
      default: true,
      reason: '',
      instances: 3,
      execution_provider: 'cpu',
      ...METADATA,
      max_batch_size: 64,
      batching: 'on (axis 0, max 64)',
    },
  ]);
});

test('says on stderr that no model is ready', async () => {
  const { code, stdout, stderr } = await models(repository());
  expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
  expect(stderr).toMatch(/^no model is ready at 127\.0\.0\.1:\d+\n$/);
});
