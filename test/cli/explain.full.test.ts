/** `tensorgate explain` over real models and real servers. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Server } from '@grpc/grpc-js';
import { afterEach, describe, expect, onTestFinished, test } from 'vitest';
import type { ExplainedSetting, ModelExplanation } from '../../src/wire/model-explanation.ts';
import { answer, startFakeServer, type UnaryHandler } from '../client/fake-server.ts';
import { batchMeanModel, encoderModel, fixedBatchModel, identityModel, mlpModel } from '../support/onnx-models.ts';
import { type ModelFiles, Repository } from '../support/repository.ts';
import { startServer } from '../support/server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { runCommandLine } from './command-line.ts';

const PROGRAM = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

function repositoryOf(models: Readonly<Record<string, Uint8Array | ModelFiles>>): string {
  const repository = new Repository(models);
  onTestFinished(() => repository[Symbol.dispose]());
  return repository.directory;
}

/** Explains the only model of a repository. */
async function explain(model: Uint8Array | ModelFiles, ...flags: string[]): Promise<ModelExplanation> {
  const { code, stdout, stderr } = await runCommandLine(['explain', repositoryOf({ m: model }), '--json', ...flags]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout);
}

function originOf({ settings }: ModelExplanation, name: string): ExplainedSetting['origin'] | undefined {
  return settings.find((setting) => setting.name === name)?.origin;
}

describe('the proof behind batching', () => {
  test('a row check that passed has its figures, and each axis its name in the model', async () => {
    const { inputs, batching, costs } = await explain(mlpModel());
    expect(inputs).toMatchObject([
      { name: 'input', datatype: 'FP32', shape: [-1, 4], axes: ['batch', 4], batch_axis: 0 },
    ]);
    expect(batching).toMatchObject({ enabled: true, max_rows: 64, reason: null, axis_doubt: null });
    expect(batching?.row_check).toMatchObject({ result: 'independent', proof: { rows_compared: 12 } });
    expect(batching?.row_check?.proof?.largest_difference).toBeLessThan(1e-5);
    expect(costs.map(({ rows }) => rows)).toEqual([1, 2, 4, 8, 16, 32, 64]);
    expect(costs.every(({ ms }) => ms > 0)).toBe(true);
  });

  test('rows that depend on each other turn batching off, with the figure that shows it', async () => {
    const { batching } = await explain(batchMeanModel());
    expect(batching).toMatchObject({
      enabled: false,
      reason: expect.stringMatching(/^rows are not independent: output '\w+' of a row changes by \d/),
      row_check: { result: 'dependent', proof: null },
    });
  });

  test('a fixed first axis needs no run', async () => {
    const { batching, inputs } = await explain(fixedBatchModel(2));
    expect(batching).toMatchObject({ enabled: false, row_check: { result: 'not_run' } });
    expect(batching?.reason).toContain('has a fixed first axis (2)');
    expect(inputs[0]?.batch_axis).toBeNull();
  });

  test('an output whose axis has another name is a doubt that more runs settled', async () => {
    const { batching } = await explain(identityModel('FP32', ['batch', 4], ['rows', 4]));
    expect(batching).toMatchObject({
      enabled: true,
      axis_doubt: "the first axis of output 'output' is 'rows', but it is 'batch' for input 'input'",
    });
    expect(batching?.row_check?.proof?.rows_compared).toBeGreaterThan(12);
  });

  test('padding has a proof of its own', async () => {
    const { batching, costs } = await explain(encoderModel());
    expect(batching?.padding).toMatchObject({ enabled: true, proof: { rows_compared: 15 } });
    expect(new Set(costs.map(({ length }) => length)).size).toBeGreaterThan(1);
    const leaking = await explain(encoderModel('none'));
    expect(leaking.batching?.padding).toMatchObject({ enabled: false, proof: null });
    expect(leaking.batching?.padding?.reason).toContain('when it is padded');
  });
});

describe('the origin of a setting', () => {
  const FIELDS = ['max_batch_size: 8', 'instance_group: [{ count: 2 }]', 'tensorgate:', '  objective_ms: 70', ''];

  test('is the line and the column of config.yaml', async () => {
    const files = { 'config.yaml': FIELDS.join('\n') };
    const explanation = await explain({ versions: { 1: mlpModel() }, files });
    const file = expect.stringMatching(/\/m\/config\.yaml$/);
    expect(originOf(explanation, 'max_batch_size')).toEqual({ kind: 'file', file, line: 1, column: 17 });
    expect(originOf(explanation, 'instance_group')).toEqual({ kind: 'file', file, line: 2, column: 17 });
    expect(originOf(explanation, 'objective_ms')).toEqual({ kind: 'file', file, line: 4, column: 17 });
    expect(explanation.objective).toEqual({ ms: 70, is_derived: false });
    expect(explanation.execution?.instances).toEqual(['cpu', 'cpu']);
    expect(explanation.limits?.rows).toBe(8_192);
  });

  test("is the line and the column of Triton's config.pbtxt, also for our own parameters", async () => {
    const files = {
      'config.pbtxt': [
        'max_batch_size: 8',
        'dynamic_batching {',
        '  max_queue_delay_microseconds: 500',
        '}',
        'parameters { key: "tensorgate.objective_ms" value { string_value: "70" } }',
      ].join('\n'),
    };
    const explanation = await explain({ versions: { 1: mlpModel() }, files });
    const file = expect.stringMatching(/\/m\/config\.pbtxt$/);
    expect(originOf(explanation, 'max_batch_size')).toMatchObject({ kind: 'file', file, line: 1 });
    expect(originOf(explanation, 'max_queue_delay_microseconds')).toMatchObject({ kind: 'file', file, line: 3 });
    expect(originOf(explanation, 'objective_ms')).toMatchObject({ kind: 'file', file, line: 5 });
    expect(originOf(explanation, 'version_policy')).toMatchObject({ kind: 'default' });
  });

  test('is a flag, a variable or the line of tensorgate.yaml for what the server decides', async () => {
    const cwd = temporaryDirectory();
    fs.writeFileSync(path.join(cwd, 'tensorgate.yaml'), 'grpcPort: 9001\nmaxMessageBytes: 1000000\n');
    const { stdout } = await runCommandLine(
      ['explain', repositoryOf({ m: mlpModel() }), '--json', '--objective-ms', '80'],
      { cwd, env: { TENSORGATE_MAX_DEADLINE_MS: '50000' } },
    );
    const explanation: ModelExplanation = JSON.parse(stdout);
    expect(originOf(explanation, 'objective_ms')).toEqual({ kind: 'flag', name: '--objective-ms' });
    expect(originOf(explanation, 'max_run_ms')).toEqual({ kind: 'environment', name: 'TENSORGATE_MAX_DEADLINE_MS' });
    expect(originOf(explanation, 'maxMessageBytes')).toEqual({
      kind: 'file',
      file: 'tensorgate.yaml',
      line: 2,
      column: 18,
    });
    expect(originOf(explanation, 'instance_group')).toMatchObject({ kind: 'derived' });
    expect(originOf(explanation, 'execution_providers')).toMatchObject({ kind: 'default' });
  });
});

test('Ctrl-C ends it, and leaves neither temporary directories nor runners', async () => {
  const folder = temporaryDirectory();
  const [model, scratch] = [path.join(folder, 'cart.onnx'), path.join(folder, 'tmp')];
  fs.mkdirSync(scratch);
  fs.writeFileSync(model, mlpModel());
  const child = spawn(process.execPath, [PROGRAM, 'explain', model], {
    env: { ...process.env, TMPDIR: scratch },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const closed = once(child, 'close');
  // The links to the model are there when the program listens to signals.
  while (fs.readdirSync(scratch).length === 0) await sleep(10);
  child.kill('SIGINT');
  // A pipe that a runner has inherited would stay open.
  expect(await text(child.stderr)).toBe('error: interrupted\n');
  expect(await closed).toEqual([1, null]);
  expect(fs.readdirSync(scratch)).toEqual([]);
});

describe('a path', () => {
  test('a file is explained as text, with its own path and not the link to it', async () => {
    const file = path.join(temporaryDirectory(), 'cart.onnx');
    fs.writeFileSync(file, mlpModel());
    const { code, stdout, stderr } = await runCommandLine(['explain', file]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const lines = stdout.split('\n');
    expect(lines[0]).toBe('cart version 1: READY');
    expect(lines).toContain(`  ${fs.realpathSync(file)}`);
    expect(stdout).toMatch(/^ {2}input {3}input {3}FP32 {2}\[batch, 4\] {2}batch axis 0$/m);
    expect(stdout).toMatch(/^ {2}row check {2}passed: .* \(12 rows compared, largest relative difference \S+\)$/m);
    expect(stdout).toMatch(/^ {2}cuda, tensorrt +not in the list of preferred providers \(cpu\)$/m);
    for (const title of ['signature', 'batching', 'execution', 'cost of a batch', 'limits of a request', 'versions']) {
      expect(lines).toContain(title);
    }
  });

  test('a repository is explained model by model, and a model that does not load is named', async () => {
    const directory = repositoryOf({
      good: { versions: { 1: mlpModel(), 2: mlpModel() }, config: { tensorgate: { labels: { stable: 1 } } } },
      bad: { versions: { 1: Buffer.from('no model') } },
    });
    const { code, stdout, stderr } = await runCommandLine(['explain', directory]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^good version 2: READY$/m);
    expect(stdout).toMatch(/^ {2}served +1 READY, 2 READY$/m);
    expect(stdout).toMatch(/^ {2}label stable +version 1$/m);
    expect(stderr).toMatch(/^error: .*'bad'/);
    const one = await runCommandLine(['explain', directory, '--model', 'good', '--version', '1', '--json']);
    expect(JSON.parse(one.stdout)).toMatchObject({ model: 'good', version: '1', traffic: { default_version: '2' } });
  });

  test('a place without a model is an error that says what to do', async () => {
    const missing = await runCommandLine(['explain', '/no/such/place']);
    expect(missing).toMatchObject({ code: 1, stdout: '' });
    expect(missing.stderr).toMatch(/^error: '\/no\/such\/place' does not exist: give an ONNX file/);
    const empty = await runCommandLine(['explain', temporaryDirectory()]);
    expect(empty).toMatchObject({ code: 1, stdout: '' });
    expect(empty.stderr).toContain('is empty: put a model at');
  });
});

test('a model on a server is explained with the settings of that server, and an unknown one with the nearest name', async () => {
  const directory = repositoryOf({ cart: mlpModel(), pair: pairOf('cart') });
  await using server = await startServer(directory, { flags: ['--objective-ms', '90'] });
  const { code, stdout } = await runCommandLine(['explain', 'cart', '--url', server.grpc, '--json']);
  expect(code).toBe(0);
  const explanation: ModelExplanation = JSON.parse(stdout);
  expect(explanation).toMatchObject({ model: 'cart', state: 'READY', unknown: [], objective: { ms: 90 } });
  expect(explanation.batching?.row_check?.result).toBe('independent');
  expect(originOf(explanation, 'objective_ms')).toEqual({ kind: 'flag', name: '--objective-ms' });
  const ensemble = await runCommandLine(['explain', 'pair', '--url', server.grpc, '--json']);
  expect(JSON.parse(ensemble.stdout)).toMatchObject({ platform: 'ensemble', steps: [{ model: 'cart', version: '' }] });
  const unknown = await runCommandLine(['explain', 'crat', '--url', server.grpc]);
  expect(unknown).toMatchObject({ code: 1, stderr: expect.stringContaining("did you mean 'cart'?") });
});

describe('a server that is no tensorgate', () => {
  let server: Server | undefined;
  afterEach(() => server?.forceShutdown());

  const METADATA: UnaryHandler = ({ request }, reply) =>
    reply(null, {
      name: request['name'],
      versions: ['3'],
      platform: 'onnxruntime_onnx',
      inputs: [{ name: 'x', datatype: 'FP32', shape: [-1, 2] }],
      outputs: [{ name: 'y', datatype: 'FP32', shape: [-1, 1] }],
    });

  test('the standard calls are asked, and the section of unknown things names the rest', async () => {
    const fake = await startFakeServer({
      ModelMetadata: METADATA,
      ModelConfig: answer({
        config: {
          max_batch_size: 8,
          dynamic_batching: { preferred_batch_size: [8] },
          instance_group: [{ name: 'm_0', kind: 'KIND_GPU', count: 2 }],
        },
      }),
      ModelStatistics: answer({
        model_stats: [
          {
            name: 'm',
            version: '3',
            batch_stats: [{ batch_size: 8, compute_infer: { count: 2, ns: 6_000_000 } }],
          },
        ],
      }),
    });
    server = fake.server;
    const { code, stdout } = await runCommandLine(['explain', 'm', '--url', fake.target, '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      version: '3',
      batching: { enabled: true, max_rows: 8, row_check: null },
      execution: { provider: 'gpu', instances: ['gpu', 'gpu'] },
      costs: [{ rows: 8, ms: 3 }],
      limits: null,
      unknown: expect.arrayContaining(['the limits of a request']),
    });
    const read = await runCommandLine(['explain', 'm', '--url', fake.target]);
    expect(read.stdout).toContain('\nnot known\n');
  });

  test('a server that only describes models is enough for the signature', async () => {
    const fake = await startFakeServer({ ModelMetadata: METADATA });
    server = fake.server;
    const { code, stdout } = await runCommandLine(['explain', 'm', '--url', fake.target]);
    expect(code).toBe(0);
    expect(stdout).toContain('input   x  FP32  [-1, 2]');
    expect(stdout).toContain('how the model is batched');
  });
});

/** An ensemble of one step. */
function pairOf(model: string): ModelFiles {
  const config = {
    platform: 'ensemble',
    max_batch_size: 4,
    input: [{ name: 'x', data_type: 'TYPE_FP32', dims: [4] }],
    output: [{ name: 'y', data_type: 'TYPE_FP32', dims: [3] }],
    ensemble_scheduling: {
      step: [{ model_name: model, input_map: { input: 'x' }, output_map: { output: 'y' } }],
    },
  };
  return { versions: {}, config, files: { '1/.keep': '' } };
}
