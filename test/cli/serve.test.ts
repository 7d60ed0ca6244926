import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { endServer, isGroupAlive, type RunningServer, runCommandLine, startServer } from './command-line.ts';

const MODELS = fileURLToPath(new URL('../../models/', import.meta.url));
const IMAGES = fileURLToPath(new URL('../../examples/cifar10/images/', import.meta.url));

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tensorgate-serve-'));
});

afterAll(() => rm(folder, { recursive: true }));

describe('a server of the models of this repository', () => {
  let server: RunningServer;

  beforeAll(async () => {
    server = await startServer(['--model-repository', MODELS]);
  });

  afterAll(() => endServer(server));

  test('says of each model how it is served, and last that it is ready', () => {
    expect(server.lines).toHaveLength(5);
    expect(server.lines[0]).toMatch(/^cifar10 version 1: .*cpu.*batching on \(axis 0, max \d+.*\)/);
    expect(server.lines[1]).toMatch(/^cifar10 version 2: .*cpu.*batching on \(axis 0, max \d+.*\)/);
    expect(server.lines[2]).toMatch(/^try: .* \| npx tensorgate infer cifar10 --url 127\.0\.0\.1:\d+ --json -$/);
    expect(server.lines[3]).toMatch(/^or: {2}.* \| grpcurl -plaintext -d @ 127\.0\.0\.1:\d+ inference\./);
    expect(server.lines[4]).toMatch(/^tensorgate ready: grpc 127\.0\.0\.1:\d+, http 127\.0\.0\.1:\d+$/);
  });

  test('answers on the operations port', async () => {
    const { status } = await fetch(`http://${server.http}/readyz`);
    expect(status).toBe(200);
  });

  test('classifies images, with its labels', async () => {
    const names = (await readdir(IMAGES)).filter((name) => name.endsWith('.png')).sort();
    const files = names.map((name) => join(IMAGES, name));
    const { code, stdout, stderr } = await runCommandLine([
      'infer',
      'cifar10',
      '--url',
      server.grpc,
      '--image',
      ...files,
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const rows = stdout
      .trimEnd()
      .split('\n')
      .slice(1)
      .map((line) => line.split(/\s{2,}/));
    expect(rows.map(([file]) => file)).toEqual(files);
    const right = rows.filter(([file, label]) => file?.includes(`/${label}-`));
    expect(right.length).toBeGreaterThanOrEqual(9);
    for (const [, , probability] of rows) expect(Number(probability)).toBeGreaterThan(0.1);
  });

  test('answers the same to JSON, to raw contents, and to a version that is named', async () => {
    const raw = join(folder, 'grey.bin');
    await writeFile(raw, new Uint8Array(3072).fill(121));
    const json = JSON.stringify({ image: Array(3072).fill(121) });
    const [fromRaw, fromJson] = await Promise.all([
      runCommandLine(['infer', 'cifar10', '--url', server.grpc, '--version', '1', '--raw', `image=${raw}`]),
      runCommandLine(['infer', 'cifar10', '--url', server.grpc, '--version', '1', '--json', '-'], { input: json }),
    ]);
    expect(fromRaw).toEqual(fromJson);
    const answer = JSON.parse(fromRaw.stdout);
    expect(answer).toMatchObject({ model_name: 'cifar10', model_version: '1' });
    expect(answer.outputs).toMatchObject([{ name: 'probabilities', datatype: 'FP32', shape: [1, 10] }]);
    expect(answer.outputs[0].data.reduce((sum: number, value: number) => sum + value)).toBeCloseTo(1, 4);
  });

  test('lists its models, and that it batches them', async () => {
    const { code, stdout, stderr } = await runCommandLine(['models', '--json'], {
      env: { TENSORGATE_URL: server.grpc },
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const models: Record<string, unknown>[] = JSON.parse(stdout);
    expect(models.map(({ name, version }) => [name, version])).toEqual([
      ['cifar10', '1'],
      ['cifar10', '2'],
    ]);
    for (const model of models) {
      expect(model).toMatchObject({
        state: 'READY',
        inputs: [{ name: 'image', datatype: 'UINT8', shape: [-1, 3, 32, 32] }],
        outputs: [{ name: 'probabilities', datatype: 'FP32', shape: [-1, 10] }],
        batching: expect.stringMatching(/^on \(axis 0, max \d+/),
        execution_provider: 'cpu',
      });
    }
  });

  test.each([
    [
      ['infer', 'nosuch', '--json', '-'],
      /^error: Request for unknown model: 'nosuch' .* \(NOT_FOUND\); known are cifar10\n$/,
    ],
    [
      ['infer', 'cifar10', '--version', '9', '--json', '-'],
      /^error: .*cifar10.*version 9.* \(NOT_FOUND\); versions of it are 1, 2\n$/,
    ],
    [['infer', 'cifar10', '--image', '/nosuch.png'], /^error: cannot read image '\/nosuch\.png': .*\n$/],
  ])('refuses in one line: %j', async (args, text) => {
    const ended = await runCommandLine([...args, '--url', server.grpc], { input: '{"inputs": []}' });
    expect({ code: ended.code, stdout: ended.stdout }).toEqual({ code: 1, stdout: '' });
    expect(ended.stderr).toMatch(text);
  });

  test('ends with 0 after SIGTERM, and leaves no process', async () => {
    server.child.kill('SIGTERM');
    expect(await server.exited).toEqual([0, null]);
    expect(isGroupAlive(server)).toBe(false);
    expect(await server.stderr).not.toMatch(/"level":"?(error|fatal|50|60)/);
  });
});

test('a model that cannot be loaded is named with the reason, and does not keep the server from starting', async () => {
  const repository = join(folder, 'repository');
  await mkdir(join(repository, 'broken', '1'), { recursive: true });
  await mkdir(join(repository, 'empty'));
  await writeFile(join(repository, 'broken', '1', 'model.onnx'), 'no model');
  const server = await startServer(['--model-repository', repository]);
  server.child.kill('SIGTERM');
  expect(server.lines).toHaveLength(3);
  expect(server.lines[0]).toMatch(/^broken version 1: UNAVAILABLE: .*not an ONNX model/);
  expect(server.lines[1]).toMatch(/^empty: UNAVAILABLE: no version/);
  expect(await server.exited).toEqual([0, null]);
});

test('SIGINT ends a server too', async () => {
  const server = await startServer(['--model-repository', folder]);
  server.child.kill('SIGINT');
  expect(await server.exited).toEqual([0, null]);
});

test('a second signal ends a server that drains at once', async () => {
  const server = await startServer([
    '--model-repository',
    folder,
    '--model-control-mode',
    'explicit',
    '--lame-duck-ms',
    '60000',
  ]);
  server.child.kill('SIGTERM');
  // Until the first has been seen, the second might be merged with it.
  for (let status = 200; status === 200; ) status = (await fetch(`http://${server.http}/readyz`)).status;
  server.child.kill('SIGTERM');
  expect(await server.exited).toEqual([143, null]);
});

describe('a server that cannot start says why in one line, and ends with 1', () => {
  let listener: Server;
  let taken: number;

  beforeAll(async () => {
    listener = createServer();
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
    const address = listener.address();
    taken = typeof address === 'object' && address !== null ? address.port : 0;
  });

  afterAll(() => {
    listener.close();
  });

  test.each([
    [
      'without a repository',
      [],
      () => /^error: no models to serve: give a path, .* or a repository with --model-repository DIR/,
    ],
    [
      'with a repository that is not there',
      ['--model-repository', '/nosuch'],
      () => /^error: the model repository '\/nosuch' does not exist/,
    ],
    ['with a value that is not legal', ['--grpc-port', '70000'], () => /^error: --grpc-port: expected .* got '70000'/],
    ['with a file of settings that is not there', ['--config', '/nosuch.yaml'], () => /^error: .*nosuch\.yaml/],
  ])('%s', async (_name, args, text) => {
    const { code, stdout, stderr } = await runCommandLine(['serve', ...args], { cwd: folder });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(text());
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  });

  test.each(['--grpc-port', '--http-port'])('with a %s that is in use', async (flag) => {
    const ports = ['--grpc-port', '0', '--http-port', '0', flag, String(taken)];
    const args = ['serve', '--model-repository', folder, '--log-level', 'silent', ...ports];
    const { code, stdout, stderr } = await runCommandLine(args);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(new RegExp(`^error: .*${taken}.*`));
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  });
});

test('serve --print-config prints every value with its origin, and serves nothing', async () => {
  const file = join(folder, 'settings.yaml');
  await writeFile(file, 'httpPort: 9002\nhost: 0.0.0.0\n');
  const { code, stdout } = await runCommandLine(['serve', '--print-config', '--config', file, '--grpc-port', '9001'], {
    env: { TENSORGATE_HOST: '127.0.0.2' },
  });
  expect(code).toBe(0);
  const rows = stdout.split('\n').map((line) => line.split(/\s{2,}/));
  expect(rows).toContainEqual(['grpcPort', '9001', '--grpc-port']);
  expect(rows).toContainEqual(['httpPort', '9002', `${file}:1:11`]);
  expect(rows).toContainEqual(['host', '127.0.0.2', 'TENSORGATE_HOST']);
  expect(rows).toContainEqual(['logLevel', 'info', 'default']);
});
