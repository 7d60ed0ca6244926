import fs from 'node:fs';
import path from 'node:path';
import { type Server, type ServerUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import { tensor as newTensor } from '../../src/client/tensor.ts';
import { createTestServer, fakeModel } from '../../src/testing/test-server.ts';
import { type Message, startFakeServer, toEcho } from '../client/fake-server.ts';
import { runProgram } from '../support/run-program.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { runCommandLine } from './command-line.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const CLIENT = path.join(ROOT, 'src/client/inference-client.ts');
const TSC = path.join(ROOT, 'node_modules/.bin/tsc');

interface FakeModel {
  readonly versions?: readonly string[];
  readonly inputs: readonly Message[];
  readonly outputs: readonly Message[];
  /** `undefined`: ModelConfig is UNIMPLEMENTED. */
  readonly config?: Message;
}

let server: Server | undefined;
afterEach(() => server?.forceShutdown());

/** @param index without it, the server has no RepositoryIndex */
async function serve(models: Readonly<Record<string, FakeModel>>, index = true): Promise<string> {
  type Call = ServerUnaryCall<Message, Message>;
  type Reply = sendUnaryData<Message>;
  const find = (call: Call): FakeModel | undefined => new Map(Object.entries(models)).get(call.request['name']);
  const started = await startFakeServer({
    ModelMetadata: (call: Call, reply: Reply) => {
      const model = find(call);
      if (model === undefined) return reply({ code: status.NOT_FOUND, details: `no ${call.request['name']}` });
      const { versions = ['1'], inputs, outputs } = model;
      reply(null, { name: call.request['name'], versions, platform: 'onnx', inputs, outputs });
    },
    ModelConfig: (call: Call, reply: Reply) => {
      const config = find(call)?.config;
      reply(config === undefined ? { code: status.UNIMPLEMENTED } : null, { config });
    },
    ModelInfer: (call: Call, reply: Reply) => reply(null, toEcho(call.request)),
    ...(index && {
      RepositoryIndex: (_call: Call, reply: Reply) =>
        reply(null, { models: Object.keys(models).map((name) => ({ name, version: '1', state: 'READY' })) }),
    }),
  });
  server = started.server;
  return started.target;
}

const tensor = (name: string, datatype: string, shape: readonly number[]): Message => ({ name, datatype, shape });
const text = (string_value: string): Message => ({ string_value });

const CIFAR10: FakeModel = {
  versions: ['1', '2'],
  inputs: [tensor('image', 'UINT8', [-1, 3, 32, 32])],
  outputs: [tensor('image', 'UINT8', [-1, 3, 32, 32])],
  config: {
    name: 'cifar10',
    parameters: {
      description: text('Ten classes of photographs.\nAnd */ no end.'),
      'labels.image': text('["cat","ship: large"]'),
      version_labels: text('["stable"]'),
    },
  },
};
const ODD: FakeModel = {
  inputs: [tensor('__proto__', 'FP32', [-1, -1]), tensor("it's", 'BYTES', [1])],
  outputs: [tensor('a-b', 'FP16', [])],
  config: { name: 'm', input: [{ name: "it's", optional: true }] },
};

function generate(target: string, out: string, ...args: string[]): ReturnType<typeof runCommandLine> {
  const source = path.relative(path.dirname(out), CLIENT);
  return runCommandLine(['client', 'generate', ...args, '--url', target, '--out', out, '--import', source], {});
}

function writeProject(directory: string): void {
  const compilerOptions = {
    target: 'es2024',
    lib: ['es2024', 'esnext.disposable', 'esnext.float16'],
    types: ['node'],
    typeRoots: [path.join(ROOT, 'node_modules/@types')],
    module: 'nodenext',
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    skipLibCheck: true,
    allowImportingTsExtensions: true,
  };
  fs.writeFileSync(path.join(directory, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts'] }));
  fs.writeFileSync(path.join(directory, 'package.json'), '{"type":"module"}');
}

/** Each program in a file of its own that uses the generated client; the text of the compiler's errors by program. */
async function compile(directory: string, programs: Readonly<Record<string, string>>): Promise<Map<string, string>> {
  for (const [name, program] of Object.entries(programs)) {
    const source = path.relative(directory, CLIENT);
    const head = `import { tensor } from '${source}';\nimport { createModelsClient } from './models.ts';\n`;
    const body = `const client = createModelsClient('a:1');\nconst pixels = new Uint8Array(3072);\n${program}\nvoid tensor; void pixels;\n`;
    fs.writeFileSync(path.join(directory, `${name}.ts`), head + body);
  }
  const { stdout } = await runProgram(TSC, ['-p', directory, '--pretty', 'false'], { cwd: directory });
  const errors = new Map<string, string>();
  for (const [, file = '', message = ''] of stdout.matchAll(/^([\w./-]+)\.ts\(\d+,\d+\): error (.*)$/gm)) {
    errors.set(file, `${errors.get(file) ?? ''}${message}\n`);
  }
  return errors;
}

describe('the generated client', () => {
  test('compiles right programs, and none that breaks a rule of its models', async () => {
    const target = await serve({ cifar10: CIFAR10, m: ODD, M: { inputs: ODD.inputs, outputs: ODD.outputs } });
    const directory = temporaryDirectory();
    writeProject(directory);
    const out = path.join(directory, 'models.ts');
    expect(await generate(target, out)).toMatchObject({ code: 0, stdout: `${out}: 3 models\n`, stderr: '' });
    const errors = await compile(directory, {
      right: `
        const { outputs } = await client.infer('cifar10', { image: tensor.uint8(pixels, [1, 3, 32, 32]) }, { version: 'stable' });
        const elements: Uint8Array = outputs.image.data;
        const size: 32 = outputs.image.shape[2];
        await client.infer('cifar10', { image: pixels }, { version: '2', outputs: ['image'], deadlineMs: 5 });
        const rows = await client.classify('cifar10', 'image', { image: pixels });
        const label: 'cat' | 'ship: large' | undefined = rows[0]?.[0]?.label;
        await client.infer('m', { ['__proto__']: tensor.fp32([1, 2], [1, 2]) });
        await client.infer('M', { ['__proto__']: tensor.fp32([1, 2], [1, 2]), "it's": tensor.bytes(['a'], [1]) });
        void elements; void size; void label;`,
      'wrong-model': `await client.infer('cifr10', { image: pixels });`,
      'wrong-input': `await client.infer('cifar10', { imag: pixels });`,
      'missing-input': `await client.infer('cifar10', {});`,
      'further-input': `await client.infer('cifar10', { image: pixels, other: pixels });`,
      'wrong-datatype': `await client.infer('cifar10', { image: tensor.fp32([1], [1, 3, 32, 32]) });`,
      'wrong-elements': `await client.infer('cifar10', { image: new Float32Array(3072) });`,
      'wrong-axis': `await client.infer('cifar10', { image: tensor.uint8(pixels, [1, 3, 32, 31]) });`,
      'wrong-rank': `await client.infer('cifar10', { image: tensor.uint8(pixels, [3, 32, 32]) });`,
      'wrong-version': `await client.infer('cifar10', { image: pixels }, { version: '3' });`,
      'wrong-output': `(await client.infer('cifar10', { image: pixels })).outputs.probabilities;`,
      'output-not-asked': `(await client.infer('cifar10', { image: pixels }, { outputs: [] })).outputs.image;`,
      'wrong-result': `const x: Float32Array = (await client.infer('cifar10', { image: pixels })).outputs.image.data; void x;`,
      'wrong-label': `const rows = await client.classify('cifar10', 'image', { image: pixels }); if (rows[0]?.[0]?.label === 'dog') void rows;`,
      'no-labels': `await client.classify('M', 'a-b', {} as never);`,
      'missing-optional': `await client.infer('M', { ['__proto__']: tensor.fp32([1], [1, 1]) });`,
    });
    expect(errors.get('models')).toBeUndefined();
    expect(errors.get('right')).toBeUndefined();
    expect([...errors.keys()].sort()).toEqual([
      'further-input',
      'missing-input',
      'missing-optional',
      'no-labels',
      'output-not-asked',
      'wrong-axis',
      'wrong-datatype',
      'wrong-elements',
      'wrong-input',
      'wrong-label',
      'wrong-model',
      'wrong-output',
      'wrong-rank',
      'wrong-result',
      'wrong-version',
    ]);

    // The file is code: it runs, and checks what no compiler can.
    const { createModelsClient } = await import(out);
    await using client = createModelsClient(target, { deadlineMs: 20_000 });
    const { outputs, modelVersion } = await client.infer('cifar10', { image: new Uint8Array(2 * 3072).fill(7) });
    expect(outputs.image.shape).toEqual([2, 3, 32, 32]);
    expect(modelVersion).toBe('1');
    await expect(client.infer('cifar10', { image: new Uint8Array(3071) })).rejects.toThrow(
      "input 'image' of model 'cifar10' has the shape [-1,3,32,32], which 3071 elements do not fill",
    );
    await expect(client.infer('m', Object.fromEntries([['__proto__', new Float32Array(2)]]))).rejects.toThrow(
      "input '__proto__' of model 'm' has 2 open axes, [-1,-1]: give a tensor, which has a shape",
    );
  });
});

describe('tensorgate client generate', () => {
  test('--check ends with 0 for the file that it would write, and with 1 and the first line that differs', async () => {
    const out = path.join(temporaryDirectory(), 'models.ts');
    const target = await serve({ cifar10: CIFAR10 });
    expect(await generate(target, out)).toMatchObject({ code: 0 });
    expect(await generate(target, out, '--check')).toEqual({ code: 0, stdout: '', stderr: '' });
    server?.forceShutdown();
    const changed = await serve({ cifar10: { ...CIFAR10, versions: ['2'] } });
    const before = fs.readFileSync(out, 'utf8');
    expect(await generate(changed, out, '--check')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /^error: '.*models\.ts' is not what the server has now, from line \d+: generate it again/,
      ),
    });
    expect(fs.readFileSync(out, 'utf8')).toBe(before);
  });

  test('a model that fails leaves no file, and one line that names it', async () => {
    const directory = temporaryDirectory();
    const out = path.join(directory, 'models.ts');
    const odd = { ...CIFAR10, outputs: [tensor('y', 'FP8', [1])] };
    const target = await serve({ cifar10: CIFAR10, odd });
    expect(await generate(target, out)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^error: model 'odd': 'y' has the datatype 'FP8'; expected one of .*BYTES\n$/),
    });
    expect(await generate(target, out, 'cifar10', 'nope')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('no nope (NOT_FOUND)'),
    });
    expect(fs.readdirSync(directory)).toEqual([]);
  });

  test('the classes of an output of tensorgate are a union', async () => {
    const judge = fakeModel({
      inputs: { x: { datatype: 'FP32', shape: [1] } },
      outputs: { scores: { datatype: 'FP32', shape: [2], labels: ['cat', 'dog'] } },
      run: () => ({ scores: newTensor.fp32([1, 0], [2]) }),
    });
    await using tensorgate = await createTestServer({ models: { judge } });
    const out = path.join(temporaryDirectory(), 'models.ts');
    expect(await generate(tensorgate.address, out)).toMatchObject({ code: 0 });
    expect(fs.readFileSync(out, 'utf8')).toContain(`readonly scores: 'cat' | 'dog';`);
  });

  test('a server without an index wants the names of the models', async () => {
    const directory = temporaryDirectory();
    const out = path.join(directory, 'models.ts');
    const target = await serve({ cifar10: CIFAR10 }, false);
    expect(await generate(target, out)).toMatchObject({
      code: 1,
      stderr: 'error: the server lists no models: name those to generate a client of\n',
    });
    expect(await generate(target, out, 'cifar10')).toMatchObject({ code: 0 });
    expect(await generate(target, path.join(directory, 'models.js'), 'cifar10')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('expected a TypeScript file'),
    });
  });
});
