import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type PlanDefaults, planModel } from '../../../src/gateway/models/model-plan.ts';
import type { ModelPlan } from '../../../src/gateway/models/planned-version.ts';
import { diagnostics } from '../../../src/gateway/ops/diagnostics.ts';
import { ModelConfigError } from '../../../src/gateway/repository/config/model-config.ts';
import { type ModelFolder, scanRepository } from '../../../src/gateway/repository/model-repository.ts';
import { additionModel, writeModel } from '../../support/onnx-models.ts';
import { temporaryDirectory } from '../../support/temporary-directory.ts';

const DEFAULTS: PlanDefaults = {
  executionProviders: ['cpu'],
  strictExecutionProviders: false,
  mailboxDirectory: '/mailboxes',
  loadLimitMs: 1_000,
  maxRunMs: 60_000,
  maxOutputBytes: 64 * 2 ** 20,
  cores: 4,
  allowsCode: false,
};

/** The plan for the model `m` of these versions. */
async function planned(
  versions: readonly number[],
  config = '',
  defaults: Partial<PlanDefaults> = {},
): Promise<ModelPlan[]> {
  const repository = temporaryDirectory();
  for (const version of versions) writeModel(repository, 'm', version, additionModel(0));
  if (config !== '') fs.writeFileSync(path.join(repository, 'm', 'config.yaml'), config);
  const [folder] = await scanRepository(repository);
  if (folder === undefined) throw new Error('no folder');
  return planModel(folder, { ...DEFAULTS, ...defaults });
}

async function placesOf(config: string, defaults: Partial<PlanDefaults> = {}): Promise<[number, string][]> {
  return ((await planned([1], config, defaults))[0]?.sessions ?? []).map(({ deviceId, providers }) => [
    deviceId,
    providers.join(),
  ]);
}

describe('versions', () => {
  test('are all, without a policy', async () => {
    expect((await planned([1, 2, 10])).map(({ ref }) => ref)).toEqual([
      { name: 'm', version: '1' },
      { name: 'm', version: '2' },
      { name: 'm', version: '10' },
    ]);
  });

  test('are chosen by the policy', async () => {
    expect((await planned([1, 2, 10], 'version_policy: { latest: {} }')).map(({ ref }) => ref.version)).toEqual(['10']);
  });

  test('that the policy names are a warning where they are missing, and the others are planned', async () => {
    const notices: string[] = [];
    onTestFinished(diagnostics.notice.subscribe(({ text }) => void notices.push(text)));
    const plans = await planned([1, 2], 'version_policy: { specific: { versions: [2, 7] } }');
    expect(plans.map(({ ref }) => ref.version)).toEqual(['2']);
    expect(notices).toEqual(["model 'm': version_policy names version 7, which is not in its directory"]);
  });

  test('are an error when the policy chooses none', async () => {
    await expect(planned([1, 2], 'version_policy: { specific: { versions: [7] } }')).rejects.toThrow(
      new ModelConfigError('version_policy chooses none of the versions 1, 2'),
    );
  });

  test('without a file have a problem, and the others do not', async () => {
    const plans = await planned([1, 2], 'default_model_filename: other.onnx');
    expect(plans.map(({ problem }) => problem?.replace(/^.*\/m\//, 'm/'))).toEqual([
      `m/1/other.onnx does not exist, but 'model.onnx' does: rename it to 'other.onnx', or set default_model_filename: "model.onnx"`,
      `m/2/other.onnx does not exist, but 'model.onnx' does: rename it to 'other.onnx', or set default_model_filename: "model.onnx"`,
    ]);
    expect((await planned([1]))[0]?.problem).toBeUndefined();
  });
});

describe('instances', () => {
  test.each([
    { cores: 1, count: 1 },
    { cores: 2, count: 1 },
    { cores: 2.5, count: 1 },
    { cores: 3, count: 2 },
    { cores: 64, count: 4 },
  ])('are $count on $cores cores, where nothing is said', async ({ cores, count }) => {
    expect(await placesOf('', { cores })).toEqual(Array(count).fill([0, 'cpu']));
  });

  test.each<{ name: string; config: string; places: [number, string][] }>([
    {
      name: 'a count',
      config: '[{ count: 2 }]',
      places: [
        [0, 'cuda,cpu'],
        [0, 'cuda,cpu'],
      ],
    },
    { name: 'the CPU', config: '[{ kind: KIND_CPU, count: 1 }]', places: [[0, 'cpu']] },
    {
      name: 'one a GPU',
      config: '[{ gpus: [0, 2] }]',
      places: [
        [0, 'cuda,cpu'],
        [2, 'cuda,cpu'],
      ],
    },
    {
      name: 'several a GPU',
      config: '[{ gpus: [0, 1], count: 2, kind: KIND_GPU }]',
      places: [
        [0, 'cuda,cpu'],
        [0, 'cuda,cpu'],
        [1, 'cuda,cpu'],
        [1, 'cuda,cpu'],
      ],
    },
    {
      name: 'several groups',
      config: '[{ kind: KIND_CPU, count: 1 }, { kind: KIND_GPU }]',
      places: [
        [0, 'cpu'],
        [0, 'cuda,cpu'],
      ],
    },
  ])('are as the configuration says: $name', async ({ config, places }) => {
    expect(await placesOf(`instance_group: ${config}`, { executionProviders: ['cuda', 'cpu'] })).toEqual(places);
  });

  test('on a GPU ask for one, also where the server prefers the CPU', async () => {
    expect(await placesOf('instance_group: [{ kind: KIND_GPU }]')).toEqual([[0, 'cuda,cpu']]);
  });

  test("prefer the model's own providers to the server's", async () => {
    const config = 'tensorgate: { execution_providers: [tensorrt, cpu], strict_execution_providers: true }';
    const [session] = (await planned([1], config, { cores: 1 }))[0]?.sessions ?? [];
    expect(session).toMatchObject({ providers: ['tensorrt', 'cpu'], strictProviders: true });
  });
});

describe('a model that is code', () => {
  const CODE = `platform: tensorgate_javascript
input: [{ name: x, data_type: TYPE_FP32, dims: [1] }]
output: [{ name: y, data_type: TYPE_FP32, dims: [1] }]`;

  async function folderOf(file: string): Promise<ModelFolder> {
    const repository = temporaryDirectory();
    fs.mkdirSync(path.join(repository, 'm', '1'), { recursive: true });
    fs.writeFileSync(path.join(repository, 'm', 'config.yaml'), CODE);
    fs.writeFileSync(path.join(repository, 'm', '1', file), '');
    const [folder] = await scanRepository(repository);
    if (folder === undefined) throw new Error('no folder');
    return folder;
  }

  test.each(['model.mjs', 'model.ts'])('is its module, where code is allowed: %s', async (file) => {
    const [plan] = await planModel(await folderOf(file), { ...DEFAULTS, allowsCode: true });
    expect(plan?.problem).toBeUndefined();
    expect(path.basename(plan?.sessions[0]?.modelPath ?? '')).toBe(file);
  });

  test('has a problem without the flag, or without its module', async () => {
    const [unflagged] = await planModel(await folderOf('model.mjs'), DEFAULTS);
    expect(unflagged?.problem).toBe(
      'it is code, which this server does not run: read it, then start the server with --allow-code-models',
    );
    const [empty] = await planModel(await folderOf('model.py'), { ...DEFAULTS, allowsCode: true });
    expect(empty?.problem).toMatch(/1\/model\.mjs or model\.ts does not exist/);
  });

  test('is not planned where its files came with a request', async () => {
    const planning = planModel(await folderOf('model.mjs'), { ...DEFAULTS, allowsCode: true }, { isUpload: true });
    await expect(planning).rejects.toThrow('the code of a model is not taken from clients');
  });
});

describe('what keeps a model from being planned at all', () => {
  test('is its folder', async () => {
    await expect(planned([])).rejects.toThrow();
    const repository = temporaryDirectory();
    fs.mkdirSync(path.join(repository, 'm'));
    const [folder] = await scanRepository(repository);
    if (folder === undefined) throw new Error('no folder');
    await expect(planModel(folder, DEFAULTS)).rejects.toThrow(new ModelConfigError(folder.problem ?? ''));
  });

  test('is its configuration', async () => {
    await expect(planned([1], 'max_batch_sizes: 4')).rejects.toThrow(/config\.yaml:1:\d+: max_batch_sizes/);
  });

  test('is an option that the session cannot be given', async () => {
    await expect(planned([1], 'parameters: { cudnn_conv_algo_search: "1" }')).rejects.toThrow(
      /config\.yaml:1:\d+: parameters\.cudnn_conv_algo_search is not supported/,
    );
  });
});
