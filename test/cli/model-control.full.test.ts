/** `tensorgate models`, its subcommands and `--watch`, over a real server. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { InferenceClient, tensor } from '../../src/client/inference-client.ts';
import { mlpModel } from '../support/onnx-models.ts';
import { type ModelFiles, Repository } from '../support/repository.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { type Ended, runCommandLine } from './command-line.ts';

const PROGRAM = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

async function serve(
  models: Readonly<Record<string, Uint8Array | ModelFiles>>,
  ...flags: string[]
): Promise<TestServer> {
  const repository = new Repository(models);
  const server = await startServer(repository.directory, { flags });
  onTestFinished(async () => {
    await server.stop();
    repository[Symbol.dispose]();
  });
  return server;
}

const rows = ({ stdout }: Ended): string[][] =>
  stdout
    .trimEnd()
    .split('\n')
    .map((line) => line.split(/\s{2,}/));

const EXPLICIT = ['--model-control-mode', 'explicit'];

test('models are loaded, listed and unloaded by their names', async () => {
  const { grpc } = await serve({ cart: { versions: { 1: mlpModel(), 2: mlpModel() } }, shop: mlpModel() }, ...EXPLICIT);
  const models = (...args: string[]): Promise<Ended> => runCommandLine(['models', ...args, '--url', grpc]);
  expect(rows(await models('index'))).toEqual([
    ['model', 'version', 'state', 'reason'],
    ['cart', 'not loaded'],
    ['shop', 'not loaded'],
  ]);
  expect(await models('load', 'cart')).toEqual({
    code: 0,
    stdout: 'cart is loaded: ready are versions 1, 2\n',
    stderr: '',
  });
  const listed = rows(await models());
  expect(listed.slice(1, 3).map((row) => row.slice(0, 5))).toEqual([
    ['cart', '1', 'READY', expect.stringMatching(/^\d on cpu$/), 'input FP32[-1,4]'],
    ['cart', '2', 'READY', 'yes', expect.stringMatching(/^\d on cpu$/)],
  ]);
  expect(listed.at(-1)).toEqual(['shop', 'not loaded']);
  expect(await models('unload', 'cart')).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('cart takes no new'),
  });
  expect(await models('load', 'crat')).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^error: failed to load 'crat'.*did you mean 'cart'\?\n$/),
  });
  expect(await models('unload', 'crat')).toMatchObject({
    code: 1,
    stderr: "error: the server has no model 'crat'; did you mean 'cart'?\n",
  });
});

test('statistics count requests, rows and batches', async () => {
  const { grpc } = await serve({ cart: mlpModel() });
  using client = new InferenceClient(grpc);
  await client.infer('cart', { input: tensor.fp32(new Float32Array(8), [2, 4]) });
  const ended = await runCommandLine(['models', 'stats', 'cart', '--url', grpc]);
  expect(rows(ended)).toEqual([
    ['model', 'version', 'requests', 'failed', 'rows', 'batches', 'rows a batch', 'queue ms', 'run ms'],
    ['cart', '1', '1', '0', '2', '1', '2.0', expect.stringMatching(/^\d/), expect.stringMatching(/^\d/)],
  ]);
  // Options may stand before the subcommand too.
  const json = await runCommandLine(['models', '--url', grpc, '--json', 'stats']);
  expect(JSON.parse(json.stdout)).toMatchObject([{ name: 'cart', inferenceCount: 2 }]);
  const unknown = await runCommandLine(['models', 'stats', 'crat', '--url', grpc]);
  expect(unknown).toMatchObject({ code: 1, stderr: expect.stringContaining("did you mean 'cart'?") });
});

describe('a call that the server does not allow says how it would be', () => {
  test('models of a server that loads nothing while it runs', async () => {
    const { grpc } = await serve({ cart: mlpModel() });
    const { code, stderr } = await runCommandLine(['models', 'load', 'cart', '--url', grpc]);
    expect(code).toBe(1);
    expect(stderr).toContain('start the server with --model-control-mode explicit, not none');
  });

  test('the public port of a server with an admin port', async () => {
    const { grpc, admin = '' } = await serve({ cart: mlpModel() }, ...EXPLICIT, '--admin-port', '0');
    const refused = await runCommandLine(['models', 'load', 'cart', '--url', grpc]);
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('give that port with --url') });
    expect(await runCommandLine(['models', 'load', 'cart', '--url', admin])).toMatchObject({ code: 0 });
  });
});

test('with --watch each change is appended, and Ctrl-C ends it', async () => {
  const { grpc } = await serve({ cart: mlpModel() }, ...EXPLICIT);
  const child = spawn(process.execPath, [PROGRAM, 'models', 'index', '--watch', '--url', grpc], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const next = async (): Promise<string> => (await lines.next()).value ?? '';
  expect((await next()).split(/\s{2,}/)).toEqual(['model', 'version', 'state', 'reason']);
  expect((await next()).split(/\s{2,}/)).toEqual(['cart', 'not loaded']);
  expect(await runCommandLine(['models', 'load', 'cart', '--url', grpc])).toMatchObject({ code: 0 });
  let line = '';
  while (!line.includes('READY')) line = await next();
  expect(line.split(/\s{2,}/)).toEqual(['cart', '1', 'READY']);
  child.kill('SIGINT');
  expect(await ended).toEqual([0, null]);
});
