/** The image: its Dockerfiles, and the file tree that they are made of, started without a container engine. */

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { lowerCaseModel } from '../support/onnx-models.ts';
import { Repository } from '../support/repository.ts';
import { runProgram } from '../support/run-program.ts';
import { startServer } from '../support/server.ts';
import { HEALTH, StockClient } from '../support/stock-client.ts';
import { hadolint } from '../tools/tools.ts';
import { containerCommand, obstacle } from './container.ts';
import { type ImageConfig, readDockerfile } from './dockerfile.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const DOCKERFILES = ['Dockerfile', 'deploy/Dockerfile.gpu'] as const;
const MODELS_DOCKERFILE = 'deploy/models/Dockerfile';
const MAIN = path.join(ROOT, 'deploy/image/main.ts');

describe('the Dockerfiles', () => {
  const linter = hadolint();

  test.skipIf(linter === undefined)('satisfy hadolint', async () => {
    const linted = await runProgram(
      linter ?? '',
      [...DOCKERFILES, MODELS_DOCKERFILE].map((file) => path.join(ROOT, file)),
    );
    expect(linted).toEqual({ code: 0, stdout: '', stderr: '' });
  });
  if (linter === undefined) console.warn('SKIPPED: hadolint is not installed; test/tools/setup.sh installs it');

  const configs = DOCKERFILES.map((file) => readDockerfile(path.join(ROOT, file)));

  test.each(configs.map((config, index) => [DOCKERFILES[index], config] as const))(
    '%s: the Node that the tests run with, no root, no telemetry',
    (_, { bases, user, env }) => {
      const { devDependencies } = JSON.parse(fs.readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
      expect(bases[0]).toBe(`node:${devDependencies.node}-bookworm-slim AS build`);
      expect(user).toBe('10001:10001');
      expect(env).toMatchObject({ ORT_DISABLE_TELEMETRY: '1', NODE_ENV: 'production', TENSORGATE_HOST: '0.0.0.0' });
    },
  );

  test('the two start the same program', () => {
    const [cpu, gpu] = configs as [ImageConfig, ImageConfig];
    expect([gpu.entrypoint, gpu.command]).toEqual([cpu.entrypoint, cpu.command]);
  });
});

describe('the file tree', () => {
  const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'tensorgate-image-'));
  const tree = path.join(scratch, 'rootfs');
  const make = (directory: string, ...args: string[]) =>
    runProgram(process.execPath, [MAIN, '--rootfs', directory, ...args]);
  let printed = '';

  beforeAll(async () => {
    const made = await make(tree);
    expect(made).toMatchObject({ code: 0 });
    printed = made.stdout;
  });

  afterAll(() => fs.rmSync(scratch, { recursive: true }));

  const files = () =>
    fs
      .readdirSync(tree, { recursive: true, withFileTypes: true })
      .map((entry) => ({ entry, name: path.relative(tree, path.join(entry.parentPath, entry.name)) }));

  test('has at most 400 MB, Node included', () => {
    const [, total] = /([\d.]+) MB {2}in all/.exec(printed) ?? [];
    console.log(`the image has ${total} MB`);
    expect(Number(total)).toBeGreaterThan(100);
    expect(Number(total)).toBeLessThanOrEqual(400);
  });

  test('a file tree that is too large is refused, with its largest entries', async () => {
    const { code, stderr } = await make(path.join(scratch, 'small'), '--max-mb', '150');
    expect(code).toBe(1);
    expect(stderr).toMatch(/too large by \d+\.\d MB; its largest parts: usr\/local\/bin \(12\d\.\d MB\), /);
  });

  test('is not made in a folder where something lies', async () => {
    expect(await make(tree)).toMatchObject({ code: 2, stderr: expect.stringContaining('is not empty') });
  });

  test('has Node, and no shell, no package manager and no compiler', () => {
    const programs = files()
      .filter(({ entry, name }) => entry.isFile() && !name.startsWith('app/') && !name.includes('.so'))
      .filter(({ name }) => fs.statSync(path.join(tree, name)).mode & 0o111)
      .map(({ name }) => name);
    expect(programs).toEqual(['usr/local/bin/node']);
    const tools = /(^|\/)(npm|typescript|vitest|biome|buf|node_modules\/node)$/;
    expect(files().filter(({ entry, name }) => entry.isDirectory() && tools.test(name))).toEqual([]);
  });

  test('has ONNX Runtime only for this platform, and no types, maps or sources of ours', () => {
    const native = files().filter(({ name }) => /napi-v6\/.*(\.node|\.so\.1|\.dylib|\.dll)$/.test(name));
    const folder = `app/node_modules/onnxruntime-node/bin/napi-v6/${process.platform}/${process.arch}`;
    expect(native.map(({ name }) => path.dirname(name))).toEqual([folder, folder]);
    expect(files().filter(({ name }) => /\.map$|\.d\.[cm]?ts$|^app\/(src|test)\//.test(name))).toEqual([]);
  });

  test('is readable by every user and writable only by root, and contains no setuid files', () => {
    const odd = files().filter(({ entry, name }) => {
      if (entry.isSymbolicLink()) return false;
      const { mode } = fs.lstatSync(path.join(tree, name));
      const expected = entry.isDirectory() ? 0o755 : mode & 0o100 ? 0o755 : 0o644;
      return (mode & 0o7777) !== expected;
    });
    expect(odd.map(({ name }) => name)).toEqual(['tmp']);
  });

  test('names the Debian packages of its libraries for scanners', () => {
    if (!fs.existsSync('/var/lib/dpkg/status')) return;
    const books = path.join(tree, 'var/lib/dpkg/status.d');
    expect(fs.readdirSync(books)).toContain('libc6');
    expect(fs.readFileSync(path.join(books, 'libc6'), 'utf8')).toMatch(/^Package: libc6\n.*^Version: \d/ms);
    expect(fs.existsSync(path.join(tree, 'usr/share/doc/libc6/copyright'))).toBe(true);
  });

  const why = obstacle();
  if (why !== undefined) console.warn(`SKIPPED: the image is not started: ${why}`);

  test.skipIf(why !== undefined)('serves as an unprivileged user, from a read-only root', async () => {
    const config = readDockerfile(path.join(ROOT, 'Dockerfile'));
    const command = containerCommand({ tree, models: path.join(ROOT, 'models'), config });
    await using server = await startServer('/models', { command });
    expect(server.lines.join('\n')).toContain('cifar10 version 1: 1 instance on cpu');
    for (const pid of [server.pid, ...server.runnerPids()]) {
      const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
      expect(status).toMatch(/^Uid:\t10001\t10001\t10001\t10001$/m);
      expect(status).toMatch(/^CapEff:\t0+$/m);
      expect(status).toMatch(/^NoNewPrivs:\t1$/m);
      expect(fs.readlinkSync(`/proc/${pid}/root`)).toBe(tree);
      expect(fs.readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0')).toContain('ORT_DISABLE_TELEMETRY=1');
      const [root = ''] = fs
        .readFileSync(`/proc/${pid}/mountinfo`, 'utf8')
        .split('\n')
        .filter((line) => line.includes(` / ro`));
      expect(root, 'its root is mounted read-only').not.toBe('');
    }
    using client = new StockClient(`127.0.0.1:${server.grpcPort}`);
    expect(await client.call('Check', { service: '' }, HEALTH)).toEqual({ status: 'SERVING' });
    const answer = await client.infer({
      model_name: 'cifar10',
      inputs: [{ name: 'image', datatype: 'UINT8', shape: ['1', '3', '32', '32'] }],
      raw_input_contents: [Buffer.alloc(3 * 32 * 32, 127)],
    });
    const probabilities: Buffer = answer['raw_output_contents'][0];
    const sum = new Float32Array(Uint8Array.from(probabilities).buffer).reduce((all, each) => all + each, 0);
    expect(sum).toBeCloseTo(1, 3);
  });

  test.skipIf(why !== undefined)(
    'serves text models with ONNX Runtime’s default locale, and with C.UTF-8',
    async () => {
      using repository = new Repository({ usual: lowerCaseModel(), plain: lowerCaseModel('C.UTF-8') });
      fs.chmodSync(repository.directory, 0o755);
      const config = readDockerfile(path.join(ROOT, 'Dockerfile'));
      const command = containerCommand({ tree, models: repository.directory, config });
      await using server = await startServer('/models', { command });
      using client = new StockClient(`127.0.0.1:${server.grpcPort}`);
      for (const name of ['usual', 'plain']) {
        const contents = { bytes_contents: [Buffer.from('HÉLLO ÄÖ')] };
        const inputs = [{ name: 'input', datatype: 'BYTES', shape: ['1'], contents }];
        const { outputs } = await client.infer({ model_name: name, inputs });
        expect(outputs[0].contents.bytes_contents.map(String)).toEqual(['héllo äö']);
      }
    },
  );
});
