import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { InferenceClient, type InferenceError, tensor } from '../../src/client/inference-client.ts';
import { REPORT } from '../../src/compare/report.ts';
import { readPublished } from '../../src/gateway/repository/version-report.ts';
import { floatRows, npz } from '../support/npz.ts';
import { additionModel, batchMeanModel, identityModel, offsetModel, withExternalData } from '../support/onnx-models.ts';
import { Repository } from '../support/repository.ts';
import { modelFile } from '../support/runners.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { runCommandLine, startServer } from './command-line.ts';

const IMAGES = path.join(import.meta.dirname, '../../examples/cifar10/images');
const CIFAR = path.join(import.meta.dirname, '../../models/cifar10');
const PROGRAM = path.join(import.meta.dirname, '../../src/cli/main.ts');
// Several programs one after another, each with runners: on a machine that is busy with other tests they take their time.
vi.setConfig({ testTimeout: 180_000 });

/** A repository with version 1 of the model of the demo. */
function cifarRepository(): string {
  const directory = temporaryDirectory();
  const model = path.join(directory, 'cifar10');
  fs.cpSync(path.join(CIFAR, '1'), path.join(model, '1'), { recursive: true });
  for (const name of ['config.yaml', 'labels.txt']) fs.copyFileSync(path.join(CIFAR, name), path.join(model, name));
  return directory;
}

/** The ten images, each in a folder of its class. */
function labelledImages(): string {
  const directory = temporaryDirectory();
  for (const name of fs.readdirSync(IMAGES).filter((each) => each.endsWith('.png'))) {
    const folder = path.join(directory, name.split('-')[0]!);
    fs.mkdirSync(folder);
    fs.copyFileSync(path.join(IMAGES, name), path.join(folder, name));
  }
  return directory;
}

function repository(models: ConstructorParameters<typeof Repository>[0]): string {
  const made = new Repository(models);
  onTestFinished(() => made[Symbol.dispose]());
  return made.directory;
}

/** An ONNX file under a name of its own. */
function onnxFile(name: string, bytes: Uint8Array): string {
  const file = path.join(temporaryDirectory(), name);
  fs.writeFileSync(file, bytes);
  return file;
}

function rowsFile(rows: readonly (readonly number[])[], labels?: readonly number[]): string {
  const file = path.join(temporaryDirectory(), 'rows.npz');
  const named = labels && {
    labels: { description: '<i4', shape: [labels.length], data: new Uint8Array(new Int32Array(labels).buffer) },
  };
  fs.writeFileSync(file, npz({ input: floatRows(rows), ...named }));
  return file;
}

/** Six rows of three scores; in the last two the first two scores are 0.25 apart. */
const SCORES = [
  [1, 0, 0],
  [0, 1, 0],
  [0, 0, 1],
  [3, 1, 0],
  [0, 0.25, 0],
  [1, 1.25, 0],
];
const RIGHT = [0, 1, 2, 0, 1, 1];

function compress(model: string, directory: string, ...args: readonly string[]) {
  return runCommandLine(['compress', model, '--model-repository', directory, ...args]);
}

function readReport(directory: string) {
  return REPORT.parse(JSON.parse(fs.readFileSync(path.join(directory, 'report.json'), 'utf8')));
}

describe('compress', () => {
  test('makes candidates of the model of the demo, compares them on labelled images, and reports', {
    timeout: 240_000,
  }, async () => {
    const out = path.join(temporaryDirectory(), 'out');
    const { code, stdout, stderr } = await compress(
      'cifar10',
      cifarRepository(),
      ...['--to', 'int8,fp16-weights', '--calibrate', IMAGES, '--evaluate', labelledImages()],
      ...['--max-drop', '0.5', '--min-agreement', '98%', '--max-bytes', '5MB', '--report', out],
    );
    expect({ code, stderr: stderr.split('\n')[0] }).toEqual({ code: 0, stderr: 'opening the model' });
    expect(stdout).toMatch(/^int8 +100\.00 % +100\.00 % +\d+ .* independent +passed$/m);
    expect(stdout).toMatch(/^fp16-weights failed max-bytes: it has \d+ bytes; at most 5000000 were wanted$/m);
    const report = readReport(out);
    const [int8, half] = report.candidates;
    expect(report.base.quality).toMatchObject({ rows: 10, failed: 0, accuracy: 1, agreement: 1, maxAbs: 0 });
    expect(report.model.classes).toContain('airplane');
    expect(int8).toMatchObject({ name: 'int8', kind: 'technique', passed: true });
    // The integer kernels are really used: so ONNX Runtime says of the graph that ran.
    expect(int8?.operators).toMatchObject({ 'com.microsoft.QLinearConv': 2, 'com.microsoft.QGemm': 2 });
    expect(int8?.rowIndependence).toMatchObject({ verdict: 'independent', rows: 10, changed: 0 });
    expect(int8?.speed.map(({ batch }) => batch)).toEqual([1, 8, 32, 64]);
    expect(int8!.bytes).toBeLessThan(report.base.bytes * 0.51);
    expect(half?.gates.filter(({ passed }) => !passed).map(({ gate }) => gate)).toEqual(['max-bytes']);
    const file = path.join(out, 'models/int8/model.onnx');
    expect(createHash('sha256').update(fs.readFileSync(file)).digest('hex')).toBe(int8?.sha256);
    const page = fs.readFileSync(path.join(out, 'report.html'), 'utf8');
    expect(page).toContain('<strong>int8</strong> is the fastest of 1 that passed (1 did not)');
  });

  test('compares models of others, and says why a gate fails, with exit code 1', async () => {
    const { code, stdout } = await compress(
      'm',
      repository({ m: offsetModel(0) }),
      ...['--with', onnxFile('half.onnx', offsetModel(0.5)), '--evaluate', rowsFile(SCORES, RIGHT), '--max-drop', '20'],
    );
    expect(stdout).toMatch(/^version 1 +100\.00 % /m);
    expect(stdout).toMatch(/^half +66\.67 % +66\.67 % /m);
    expect(stdout).toContain('half failed max-drop: it lost 33.33 points of accuracy; at most 20 to lose were allowed');
    expect(code).toBe(1);
  });

  test('leaves a node in float that is named', async () => {
    const args = ['--to', 'int8', '--calibrate', IMAGES, '--keep', 'gemm14', '--json'];
    const { stdout } = await compress('cifar10', cifarRepository(), ...args);
    const [int8] = REPORT.parse(JSON.parse(stdout)).candidates;
    expect(int8?.operators).toMatchObject({ 'com.microsoft.QGemm': 1, Gemm: 1 });
    expect(int8?.steps.find((step) => step.startsWith('Gemm gemm14: '))).toContain('left as it was');
  });

  test('refuses a model whose rows mix when the rows of the base do not', async () => {
    const { code, stdout } = await compress(
      'm',
      repository({ m: identityModel('FP32') }),
      ...[
        '--with',
        onnxFile('mean.onnx', batchMeanModel()),
        '--calibrate',
        rowsFile([
          [1, 2, 3, 4],
          [5, 1, 2, 0],
        ]),
      ],
    );
    expect(stdout).toMatch(
      /^mean failed rows: the answer to a row depends on the rows beside it: .* a server would not batch it$/m,
    );
    expect(code).toBe(1);
  });

  test('prints the report as JSON, and nothing else', async () => {
    const other = onnxFile('same.onnx', offsetModel(0));
    const { code, stdout } = await compress('m', repository({ m: offsetModel(0) }), '--with', other, '--json');
    expect(REPORT.parse(JSON.parse(stdout))).toMatchObject({
      data: { kind: 'made-up', rows: 64 },
      candidates: [{ name: 'same', passed: true, quality: { agreement: 1, maxAbs: 0 } }],
    });
    expect(code).toBe(0);
  });

  test('says of a technique that finds nothing to do that it was not made', async () => {
    const { code, stdout } = await compress('m', repository({ m: additionModel(1) }), '--to', 'fp16-weights');
    expect(stdout).toMatch(/^fp16-weights was not made: /m);
    expect(code).toBe(1);
  });
});

describe('what is wrong is said in a line, before anything is made', () => {
  const other = () => onnxFile('other.onnx', offsetModel(0.5));
  test.each<readonly [string, () => readonly string[], RegExp]>([
    ['no such model', () => ['--with', other()], /^error: there is no model 'x' in .*; known are m$/],
    ['no such version', () => ['--version', '7'], /^error: model 'm' has no version 7: it has 1$/],
    ['no technique', () => ['--to', 'int4'], /^error: 'int4' is no technique: expected int8, fp16-weights, rank:N/],
    [
      'int8 without data',
      () => ['--to', 'int8'],
      /^error: int8 is calibrated on real inputs: give some with --calibrate/,
    ],
    ['a node that is not there', () => ['--keep', 'conv9'], /^error: --keep conv9: the model has no such node/],
    ['no data', () => ['--calibrate', '/nowhere'], /^error: '\/nowhere' does not exist: expected a folder of images/],
    ['an empty folder', () => ['--calibrate', temporaryDirectory()], /holds no data: expected a folder of images/],
    [
      'images for a model that takes none',
      () => ['--calibrate', IMAGES],
      /holds images, and model 'm' takes input FP32\[-1,3\]/,
    ],
    [
      'arrays of another shape',
      () => ['--calibrate', rowsFile([[1, 2]])],
      /a row of input 'input' has the shape \[1,2\]: the model takes \[-1,3\]/,
    ],
    [
      'a class that is none',
      () => ['--with', other(), '--evaluate', rowsFile(SCORES, [0, 1, 2, 0, 1, 9])],
      /rows\.npz row 5: '9' is no class of the model: expected numbers from 0 to 2/,
    ],
    [
      'another interface',
      () => ['--with', onnxFile('wide.onnx', identityModel('FP32'))],
      /wide\.onnx: the base has the input 'input' FP32 \[-1,3\], but this has 'input' FP32 \[-1,4\]/,
    ],
    ['no ONNX file', () => ['--with', onnxFile('text.onnx', Buffer.from('text'))], /text\.onnx is no ONNX model/],
    [
      'a candidate that is not there',
      () => ['--with', other(), '--publish', 'int8'],
      /--publish int8: there is no such candidate, but other/,
    ],
    [
      'a folder of other files',
      () => ['--with', other(), '--report', IMAGES],
      /it contains other files: name a new folder/,
    ],
  ])('%s', async (what, args, text) => {
    const name = what === 'no such model' ? 'x' : 'm';
    const { code, stderr, stdout } = await compress(name, repository({ m: offsetModel(0) }), ...args());
    expect(stderr.trim().split('\n').at(-1)).toMatch(text);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  });

  test('a line of JSON is named by its number', async () => {
    const file = path.join(temporaryDirectory(), 'rows.jsonl');
    fs.writeFileSync(file, '{"input": [[1, 2, 3]]}\n{"input": [[1, 2]]}\n');
    const { stderr } = await compress('m', repository({ m: offsetModel(0) }), '--with', other(), '--calibrate', file);
    expect(stderr).toContain("error: rows.jsonl:2: input 'input' is FP32 [1,2], and the model takes FP32 [-1,3]");
  });
});

describe('interrupted by Ctrl-C', () => {
  test('it leaves no file and no process, and ends with 130', async () => {
    const temporary = temporaryDirectory();
    const out = path.join(temporaryDirectory(), 'out');
    const directory = cifarRepository();
    const before = fs.readdirSync(path.join(directory, 'cifar10'));
    const args = ['compress', 'cifar10', '--model-repository', directory, '--calibrate', IMAGES, '--report', out];
    const child = spawn(process.execPath, [PROGRAM, ...args, '--publish', 'int8'], {
      env: { ...process.env, TMPDIR: temporary },
      stdio: ['ignore', 'pipe', 'pipe'],
      // A process group of its own, as a terminal gives one.
      detached: true,
    });
    const exited = once(child, 'exit');
    const lines: string[] = [];
    for await (const line of createInterface(child.stderr)) {
      lines.push(line);
      if (line === 'measuring speed') process.kill(-child.pid!, 'SIGINT');
    }
    expect(await exited).toEqual([130, null]);
    expect(lines.at(-1)).toBe('interrupted: nothing was written');
    expect(fs.readdirSync(temporary)).toEqual([]);
    expect(fs.existsSync(out)).toBe(false);
    expect(fs.readdirSync(path.join(directory, 'cifar10'))).toEqual(before);
    expect(() => process.kill(-child.pid!, 0)).toThrow();
  });
});

describe('publish', () => {
  test('puts a version beside the others that takes no traffic, knows its answers, and serves', {
    timeout: 240_000,
  }, async () => {
    const directory = cifarRepository();
    const { code, stdout } = await compress('cifar10', directory, '--calibrate', IMAGES, '--publish', 'int8');
    expect(stdout).toMatch(/published: .*cifar10\/2 \(int8\), without traffic: .* keeps it with version 1$/m);
    expect(code).toBe(0);
    const config = fs.readFileSync(path.join(directory, 'cifar10/config.yaml'), 'utf8');
    expect(config).toContain('# The field names are Triton');
    expect(config).toMatch(/tensorgate:\n {2}traffic:\n {4}split:\n {6}1: 100\n/);
    expect(fs.readdirSync(path.join(directory, 'cifar10/2')).sort()).toEqual(['golden', 'model.onnx', 'report.json']);
    const published = await readPublished(path.join(directory, 'cifar10/2'));
    expect(published).toMatchObject({
      candidate: 'int8',
      version: '2',
      base: { version: '1' },
      expect: { agreement: 1, errorRate: 0 },
    });
    expect(published!.expect.latencyRatio).toBeGreaterThan(0);

    const server = await startServer(['--model-repository', directory]);
    onTestFinished(async () => {
      server.child.kill('SIGTERM');
      await server.exited;
    });
    expect(server.lines.filter((line) => / batching on /.test(line))).toHaveLength(2);
    using client = new InferenceClient(server.grpc);
    const image = tensor.uint8(new Uint8Array(3072), [1, 3, 32, 32]);
    expect((await client.infer('cifar10', { image })).modelVersion).toBe('1');
    expect((await client.infer('cifar10', { image }, { version: '2' })).modelVersion).toBe('2');
  });

  test('does not move traffic of a server that finds the version while it runs', async () => {
    const directory = repository({ m: offsetModel(0) });
    const polling = ['--model-control-mode', 'poll', '--repository-poll-secs', '1'];
    const server = await startServer(['--model-repository', directory, ...polling]);
    onTestFinished(async () => {
      server.child.kill('SIGTERM');
      await server.exited;
    });
    const same = onnxFile('same.onnx', offsetModel(0));
    const published = compress('m', directory, '--with', same, '--publish', 'same');
    using client = new InferenceClient(server.grpc);
    const input = tensor.fp32([1, 2, 3], [1, 3]);
    // A request without a version is answered by the first, before, while and after the second appears.
    const answeredBy = new Set<string>();
    for (let isThere = false; !isThere; ) {
      answeredBy.add((await client.infer('m', { input })).modelVersion);
      isThere = await client.infer('m', { input }, { version: '2' }).then(
        () => true,
        (error: InferenceError) => {
          expect(['NOT_FOUND', 'UNAVAILABLE']).toContain(error.status);
          return false;
        },
      );
    }
    for (let request = 0; request < 20; request++) answeredBy.add((await client.infer('m', { input })).modelVersion);
    expect([...answeredBy]).toEqual(['1']);
    expect(await published).toMatchObject({ code: 0 });
  });

  test('keeps out what did not pass, and touches nothing', async () => {
    const directory = repository({ m: offsetModel(0) });
    const other = onnxFile('other.onnx', offsetModel(0.5));
    const args = ['--with', other, '--evaluate', rowsFile(SCORES, RIGHT), '--max-drop', '1', '--publish', 'other'];
    const { code, stderr } = await compress('m', directory, ...args);
    expect(stderr).toContain('error: other did not pass, and is not published');
    expect(code).toBe(1);
    expect(fs.readdirSync(path.join(directory, 'm'))).toEqual(['1']);
  });

  test('takes external data along', async () => {
    const directory = repository({ m: offsetModel(0) });
    const folder = temporaryDirectory();
    const file = path.join(folder, 'apart.onnx');
    fs.writeFileSync(file, externalOffsetModel('apart.weights'));
    fs.writeFileSync(path.join(folder, 'apart.weights'), new Uint8Array(new Float32Array(3).buffer));
    const { code, stdout } = await compress('m', directory, '--with', file, '--publish', 'apart');
    expect(stdout).toContain('(apart), without traffic');
    expect(code).toBe(0);
    expect(fs.readdirSync(path.join(directory, 'm/2')).sort()).toEqual([
      'apart.weights',
      'golden',
      'model.onnx',
      'report.json',
    ]);
    expect(fs.readFileSync(path.join(directory, 'm/config.yaml'), 'utf8')).toContain('split');
    const report = readReport(path.join(directory, 'm/2'));
    expect(report.published).toMatchObject({ candidate: 'apart', version: '2' });
    expect(report.candidates[0]?.bytes).toBe(fs.statSync(file).size + 12);
  });

  test('is refused before any work where a configuration of Triton cannot say that others answer', async () => {
    const directory = repository({
      m: { versions: { 1: offsetModel(0) }, files: { 'config.pbtxt': 'version_policy: { all: {} }' } },
    });
    const { code, stderr } = await compress('m', directory, '--with', modelFile(offsetModel(0)), '--publish', 'model');
    expect(stderr).toMatch(
      /config\.pbtxt cannot say how traffic is split, and version 2 would take all of it: have it say version_policy: \{ specific: \{ versions: \[1\] \} \}/,
    );
    expect(code).toBe(1);
  });
});

/** `offsetModel(0)` whose offset lies in a file beside it. */
function externalOffsetModel(location: string): Uint8Array {
  return withExternalData(offsetModel(0), 'offset', location);
}
