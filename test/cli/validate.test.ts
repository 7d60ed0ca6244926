import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { identityModel, mlpModel } from '../support/onnx-models.ts';
import { type ModelFiles, Repository } from '../support/repository.ts';
import { type Ended, runCommandLine } from './command-line.ts';

const MODELS = fileURLToPath(new URL('../../models/', import.meta.url));

interface Finding {
  readonly level: 'error' | 'warning';
  readonly model: string;
  readonly version?: string;
  readonly text: string;
}

/** Validates a repository with these models, and removes its directory from the output. */
async function validate(models: Readonly<Record<string, Uint8Array | ModelFiles>>, ...flags: string[]): Promise<Ended> {
  const repository = new Repository(models);
  onTestFinished(() => repository[Symbol.dispose]());
  const ended = await runCommandLine(['models', 'validate', repository.directory, ...flags]);
  return { ...ended, stdout: ended.stdout.replaceAll(`${repository.directory}${path.sep}`, '') };
}

/** What it found, as `--json` says it. */
async function findingsOf(models: Readonly<Record<string, Uint8Array | ModelFiles>>): Promise<readonly Finding[]> {
  const { stdout } = await validate(models, '--json');
  return JSON.parse(stdout).findings;
}

const STEP = (model: string): object => ({
  model_name: model,
  input_map: { input: 'x' },
  output_map: { output: 'y' },
});
const TENSOR = { data_type: 'TYPE_FP32', dims: [4] };

function ensemble(model: string, output: object = { ...TENSOR, dims: [3] }): ModelFiles {
  const config = {
    platform: 'ensemble',
    max_batch_size: 4,
    input: [{ name: 'x', ...TENSOR }],
    output: [{ name: 'y', ...output }],
    ensemble_scheduling: { step: [STEP(model)] },
  };
  return { versions: {}, config, files: { '1/.keep': '' } };
}

test('a repository in which all is well is counted, and the exit code is 0', async () => {
  expect(await runCommandLine(['models', 'validate', MODELS])).toEqual({
    code: 0,
    stdout: '1 model, 2 versions: 0 errors, 0 warnings\n',
    stderr: '',
  });
});

test('each thing found has a line, with its file, line and column; errors make the exit code 1', async () => {
  const ended = await validate({
    misspelt: { versions: { 1: mlpModel() }, files: { 'config.pbtxt': 'max_batch_size: 4\noutputs { }' } },
    several: { versions: { 1: mlpModel() }, files: { 'config.yaml': 'max_batch_size: -1\nname: other\n' } },
    vain: { versions: { 1: mlpModel() }, files: { 'config.yaml': 'metric_tags: { team: us }\n' } },
    contrary: { versions: { 1: mlpModel() }, config: { input: [{ name: 'input', dims: [5] }] } },
  });
  expect(ended.stdout.split('\n')).toEqual([
    "error    model misspelt: misspelt/config.pbtxt:2:1: outputs: there is no such field; did you mean 'output'?",
    expect.stringMatching(/^error {4}model several: several\/config\.yaml:1:17: max_batch_size: .*>=0$/),
    'warning  model vain: vain/config.yaml:1:14: metric_tags have no effect: metrics have the labels model and version',
    "error    model contrary version 1: input 'input': the configuration says dims [5], the model has [4]",
    '4 models, 2 versions: 3 errors, 1 warning',
    '',
  ]);
  expect({ code: ended.code, stderr: ended.stderr }).toEqual({ code: 1, stderr: '' });
});

test('exits with 0 when there are only warnings', async () => {
  const ended = await validate({ vain: { versions: { 1: mlpModel() }, config: { metric_tags: { a: 'b' } } } });
  expect(ended).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/\n1 model, 1 version: 0 errors, 1 warning\n$/),
  });
});

test('layout, names, versions and files are looked at', async () => {
  const findings = await findingsOf({
    '-name': mlpModel(),
    broken: Buffer.from('no model'),
    labelled: { versions: { 1: mlpModel() }, config: { output: [{ name: 'output', label_filename: 'none.txt' }] } },
    leading: { versions: { 1: mlpModel() }, files: { '02/model.onnx': '' } },
    named: { versions: { 1: mlpModel() }, config: { tensorgate: { labels: { stable: 3 } } } },
    warmed: { versions: { 1: mlpModel() }, config: { model_warmup: [{ name: 'w', inputs: {} }] } },
    empty: { versions: {}, files: { 'config.yaml': '' } },
    fileless: { versions: {}, files: { '1/other.onnx': '' } },
    two: { versions: { 1: mlpModel() }, config: {}, files: { 'config.pbtxt': '' } },
  });
  const texts = Object.groupBy(findings, ({ model }) => model);
  expect(
    Object.fromEntries(Object.entries(texts).map(([model, found]) => [model, found?.map(({ text }) => text)])),
  ).toEqual({
    '-name': [expect.stringContaining('is no model name')],
    broken: [expect.stringContaining('is a text file')],
    labelled: [expect.stringMatching(/^label_filename 'none.txt': .*none.txt does not exist$/)],
    leading: [
      expect.stringContaining(
        '02 is not served: a version is a decimal number from 1 to 9223372036854775807, without leading zeros',
      ),
    ],
    named: [expect.stringContaining('tensorgate.labels.stable names version 3, but those that are served are 1')],
    warmed: [expect.stringMatching(/^model_warmup 'w', input '\w+' is missing$/)],
    empty: [expect.stringContaining('no version: expected a directory')],
    fileless: [expect.stringContaining('model.onnx does not exist')],
    two: ['both config.json and config.pbtxt are there: keep one'],
  });
});

test('ensembles are compared with the models of their steps, also where these are ensembles', async () => {
  const findings = await findingsOf({
    model: mlpModel(),
    strings: identityModel('BYTES'),
    sound: ensemble('model'),
    nested: {
      ...ensemble('sound'),
      config: {
        ...ensemble('sound').config,
        ensemble_scheduling: { step: [{ model_name: 'sound', input_map: { x: 'x' }, output_map: { y: 'y' } }] },
      },
    },
    unlike: ensemble('strings', TENSOR),
    lost: ensemble('nobody'),
    inner: {
      ...ensemble('x'),
      config: {
        ...ensemble('x').config,
        ensemble_scheduling: { step: [{ model_name: 'inner', input_map: { x: 'x' }, output_map: { y: 'y' } }] },
      },
    },
  });
  expect(findings.map(({ level, model, text }) => [level, model, text])).toEqual([
    ['error', 'inner', "ensembles are steps of each other: 'inner' -> 'inner'"],
    ['error', 'lost', expect.stringMatching(/^step 0 \(model 'nobody'\): there is no such model here, but 'inner', /)],
    [
      'error',
      'unlike',
      expect.stringContaining("input 'x' of the ensemble is FP32 [-1,4], but input 'input' of step 0"),
    ],
  ]);
});

test('a directory that is not there is an error of its own', async () => {
  const ended = await runCommandLine(['models', 'validate', '/nowhere/models']);
  expect(ended).toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringContaining("'/nowhere/models' does not exist"),
  });
});

test('`models` without options still asks a server', async () => {
  const ended = await runCommandLine(['models', '--url', '127.0.0.1:1', '--deadline-ms', '2000']);
  expect(ended).toMatchObject({ code: 1, stderr: expect.stringContaining('127.0.0.1:1') });
});
