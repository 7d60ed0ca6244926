/** `tensorgate serve WHAT` and `tensorgate models validate WHAT`, over the real program. */

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { ServerProcess } from '../faults/server-process.ts';
import { additionModel, withExternalData } from '../support/onnx-models.ts';
import { Repository } from '../support/repository.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { sentenceEncoder, writeFiles } from '../support/text-exports.ts';
import { endServer, type RunningServer, runCommandLine, startServer } from './command-line.ts';

const PROGRAM = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const MODEL = Buffer.from(additionModel(1));

/** A folder named `shop` with these files. */
function shopOf(files: Readonly<Record<string, Uint8Array | string>>): string {
  const folder = path.join(temporaryDirectory(), 'shop');
  fs.mkdirSync(folder);
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(folder, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, content);
  }
  return folder;
}

async function served(...args: string[]): Promise<RunningServer> {
  const server = await startServer(args);
  onTestFinished(() => endServer(server));
  return server;
}

test('a folder with texts names its detokenizer neither at the start nor in explanations, and reads it when it is asked', async () => {
  const repository = temporaryDirectory();
  // Without an ensemble, a part may be the model to try.
  const modules = [{ type: 'sentence_transformers.models.Dense', path: '' }];
  writeFiles(path.join(repository, 'shop'), { ...sentenceEncoder(), 'modules.json': modules });
  const server = await served('--model-repository', repository);
  const lines = server.lines.filter((line) => !line.startsWith('{'));
  expect(lines.filter((line) => line.startsWith('try: '))).toEqual([expect.stringContaining('infer shop:')]);
  expect(lines.filter((line) => line.includes('detokenizer'))).toEqual([]);
  // The ensemble is not ready.
  const { stdout } = await runCommandLine(['explain', repository]);
  expect(stdout).toContain('shop:tokenizer version 1: READY');
  expect(stdout).not.toContain('detokenizer');
  const named = await runCommandLine(['explain', repository, '--model', 'shop:detokenizer']);
  expect(named).toMatchObject({ code: 0, stdout: expect.stringContaining('shop:detokenizer version 1: READY') });
  // It reads the file at the first run.
  fs.rmSync(path.join(repository, 'shop', 'tokenizer.json'));
  const body = JSON.stringify({ model: 'shop:detokenizer', tokens: [5] });
  const answer = await fetch(`http://${server.http}/detokenize`, { method: 'POST', body });
  expect(await answer.json()).toMatchObject({
    error: { code: 'model_failed', message: expect.stringContaining('tokenizer.json does not exist') },
  });
});

describe('a path', () => {
  test.each<{ what: string; files: Readonly<Record<string, Uint8Array>>; given: string; name: string }>([
    { what: 'a file', files: { 'cart.onnx': MODEL }, given: 'cart.onnx', name: 'cart' },
    { what: 'a folder with one file', files: { 'cart.onnx': MODEL }, given: '', name: 'shop' },
    {
      what: 'an export of Hugging Face',
      files: { 'config.json': Buffer.from('{}'), 'onnx/model.onnx': MODEL, 'onnx/model_int8.onnx': MODEL },
      given: '',
      name: 'shop',
    },
    { what: 'a repository', files: { 'cart/1/model.onnx': MODEL }, given: '', name: 'cart' },
  ])('to $what is served and is valid', async ({ files, given, name }) => {
    const folder = shopOf(files);
    const what = path.join(folder, given);
    const server = await served(what);
    expect(server.lines.find((line) => line.startsWith(`${name} version 1: `))).toMatch(
      / instances? on cpu, batching /,
    );
    expect((await fetch(`http://${server.http}/v2/models/${name}/ready`)).status).toBe(200);
    expect(await runCommandLine(['models', 'validate', what])).toMatchObject({
      code: 0,
      stdout: '1 model, 1 version: 0 errors, 0 warnings\n',
    });
  });
});

test('a file with weights beside it answers with them, and the server leaves neither links nor copies behind', async () => {
  const weights = new Uint8Array(new Float32Array([1, 2, 3, 4]).buffer);
  const folder = shopOf({});
  const temporary = temporaryDirectory();
  fs.writeFileSync(path.join(folder, 'net.onnx'), withExternalData(additionModel(1), 'offset', 'net.data'));
  fs.writeFileSync(path.join(folder, 'net.data'), weights.subarray(0, 4));
  const server = await startServer([path.join(folder, 'net.onnx')], { TMPDIR: temporary });
  expect(server.lines[0]).toMatch(/^net version 1: /);
  expect(fs.readdirSync(temporary).filter((name) => name.startsWith('tensorgate-serve-'))).toHaveLength(1);
  server.child.kill('SIGTERM');
  expect(await server.exited).toEqual([0, null]);
  expect(fs.readdirSync(temporary).filter((name) => name.startsWith('tensorgate-serve-'))).toEqual([]);
  expect(fs.readdirSync(folder).sort()).toEqual(['net.data', 'net.onnx']);
});

const POINTER = `version https://git-lfs.github.com/spec/v1\noid sha256:${'0'.repeat(64)}\nsize 12345\n`;

/** What a server says that has nothing to serve: its last lines, and `/readyz`. */
async function saidBy(
  what: string,
  ...flags: string[]
): Promise<{ lines: readonly string[]; status: number; reasons: string }> {
  const server = await served(what, ...flags);
  const answer = await fetch(`http://${server.http}/readyz`);
  return { lines: server.lines, status: answer.status, reasons: await answer.text() };
}

describe('what cannot be served says what it is and which command mends it: at the start, in /readyz, and in models validate', () => {
  test.each<{ what: string; files: Readonly<Record<string, Uint8Array | string>>; given?: string; text: RegExp }>([
    {
      what: 'an empty repository',
      files: {},
      text: /is empty: put a model at \S+, or serve a file: npx tensorgate serve /,
    },
    {
      what: 'a Git LFS pointer',
      files: { 'net.onnx': POINTER },
      text: /\/shop\/net\.onnx is a Git LFS pointer.*: git -C \S+\/shop lfs pull/,
    },
    {
      what: 'an HTML page',
      files: { 'net.onnx': '<!DOCTYPE html><html></html>' },
      text: /\/shop\/net\.onnx is an HTML page.*: curl -fL -o \S+\/shop\/net\.onnx URL/,
    },
    {
      what: 'a cut file',
      files: { 'net.onnx': MODEL.subarray(0, MODEL.byteLength - 9) },
      text: /\/shop\/net\.onnx is cut off.*: curl -fL -o \S+\/shop\/net\.onnx URL/,
    },
    {
      what: 'a page in place of a model of a repository',
      files: { 'net/1/model.onnx': '<html>' },
      text: /\/shop\/net\/1\/model\.onnx is an HTML page/,
    },
  ])('$what', async ({ files, text }) => {
    const folder = shopOf(files);
    const { lines, status, reasons } = await saidBy(folder);
    expect(status).toBe(503);
    expect(reasons).toMatch(text);
    expect(lines.join('\n')).toMatch(text);
    expect(lines.at(-1)).toMatch(/^tensorgate not ready: grpc /);
    const { code, stdout } = await runCommandLine(['models', 'validate', folder]);
    expect(code).toBe(1);
    expect(stdout).toMatch(text);
  });

  test('an ONNX file in the root of --model-repository', async () => {
    const folder = shopOf({ 'net.onnx': MODEL });
    const { lines, status, reasons } = await saidBy('--model-repository', folder);
    const text = `there is no model in '${folder}': ${folder}/net.onnx is not served: move it to ${folder}/net/1/model.onnx`;
    expect(status).toBe(503);
    expect(reasons).toContain(text);
    expect(lines[0]).toContain(`not ready: ${text}`);
    expect(lines[0]).toContain(`npx tensorgate serve ${folder}/net.onnx`);
  });

  test('a model in place of its repository ends the program', async () => {
    const folder = shopOf({ 'config.pbtxt': 'max_batch_size: 4', '1/model.onnx': MODEL });
    const text = `'${folder}' is a model, not a repository of models: give its parent directory: npx tensorgate serve ${path.dirname(folder)}`;
    for (const command of [
      ['serve', folder],
      ['models', 'validate', folder],
    ]) {
      expect(await runCommandLine(command)).toMatchObject({ code: 1, stderr: expect.stringContaining(text) });
    }
  });

  test('a path and --model-repository together end the program', async () => {
    const folder = shopOf({ 'net.onnx': MODEL });
    expect(await runCommandLine(['serve', folder, '--model-repository', folder])).toMatchObject({
      code: 1,
      stderr: `error: two places of models: '${folder}' and --model-repository; give one of them\n`,
    });
  });
});

test.each([
  ['poll', ['--model-control-mode', 'poll']],
  ['explicit', ['--model-control-mode', 'explicit']],
  ['on demand', ['--model-control-mode', 'explicit', '--load-on-demand']],
])('an empty repository is ready where models may come: %s', async (_mode, flags) => {
  const { lines, status } = await saidBy(shopOf({}), ...flags);
  expect(status).toBe(200);
  expect(lines).toEqual([expect.stringMatching(/^tensorgate ready: grpc /)]);
});

test('an unload that a client asked for is no warning in the log', async () => {
  using repository = new Repository({ net: MODEL });
  await using server = new ServerProcess(repository.directory, [
    '--model-control-mode',
    'explicit',
    '--load-model',
    '*',
  ]);
  const { http } = await server.ready;
  expect((await fetch(`${http}/v2/repository/models/net/unload`, { method: 'POST' })).status).toBe(200);
  await vi.waitFor(() => expect(server.log.at(-1)).toContain('"msg":"model UNAVAILABLE: unloaded"'), {
    timeout: 10_000,
  });
  const levels = server.log.filter((line) => line.includes('"model":"net"')).map((line) => JSON.parse(line).level);
  expect(new Set(levels)).toEqual(new Set(['info']));
});

const hasScript = spawnSync('script', ['--version']).status === 0;
if (!hasScript) console.warn('SKIPPED: script of util-linux is not installed, so there is no terminal');

test.skipIf(!hasScript)(
  'on a terminal the log is text, a line shows what loads, and the last line says that the server is ready',
  async () => {
    const folder = shopOf({ 'net.onnx': MODEL });
    const command = `'${process.execPath}' '${PROGRAM}' serve '${folder}' --grpc-port 0 --http-port 0`;
    const terminal = spawn('script', ['-qefc', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] });
    let shown = '';
    const isReady = Promise.withResolvers<void>();
    terminal.stdout.on('data', (chunk: Buffer) => {
      shown += chunk.toString('utf8');
      if (/tensorgate ready: grpc \S+, http \S+\r?\n/.test(shown)) isReady.resolve();
    });
    const ended = once(terminal, 'close');
    void ended.then(() => isReady.reject(new Error(shown)));
    await isReady.promise;
    // What a terminal does on Ctrl-C.
    terminal.stdin.write('\u0003');
    await ended;
    expect(shown).toContain('\u001b[2Kloading 1 of 1: shop, 0 %\r');
    expect(shown).toMatch(/INFO {2}model READY: \d instances? on cpu.* model=shop version=1/);
    expect(shown).toMatch(
      /INFO {2}the server drains: it waits for 0 requests without an answer and 0 open calls over gRPC/,
    );
    expect(shown).not.toContain('{"level"');
  },
);

test('a server says that it is ready when its last model is, if that comes later', async () => {
  using repository = new Repository({ late: { versions: { 1: Buffer.from('<html>') } } });
  const flags = ['--model-control-mode', 'poll', '--repository-poll-secs', '1'];
  await using server = new ServerProcess(repository.directory, flags);
  await server.ready;
  expect(server.lines.at(-1)).toMatch(/^tensorgate not ready: grpc /);
  expect(server.lines[0]).toMatch(/^late version 1: UNAVAILABLE: .* is an HTML page/);
  repository.publish('late', 1, MODEL);
  await vi.waitUntil(() => server.lines.at(-1)?.startsWith('tensorgate ready: '), { timeout: 20_000 });
  expect(server.lines.slice(2).find((line) => line.startsWith('late version 1: '))).toMatch(/ on cpu, batching on /);
  expect(server.lines.at(-1)).toMatch(/^tensorgate ready: grpc /);
});
