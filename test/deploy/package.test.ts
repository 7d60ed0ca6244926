/** Every way to install tensorgate, in empty folders: a clone, the npm package in a project, and the npm package globally. */

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };

const ROOT = path.join(import.meta.dirname, '../..');
const MODELS = path.join(ROOT, 'models');
const IMAGE = path.join(ROOT, 'examples/cifar10/images/airplane-0524.png');
const INSTALL_MS = 300_000;

/** Each Node with the npm that comes with it, from npm packages. */
const NODES = [
  { node: '22', npm: '10' },
  { node: '24', npm: '11' },
  { node: '26', npm: '12' },
] as const;
const UNSUPPORTED = { node: '20', npm: '10' } as const;

const hasRegistry = spawnSync('npm', ['ping', '--fetch-retries=0'], { stdio: 'ignore' }).status === 0;
if (!hasRegistry) console.warn('SKIPPED: no npm registry is reachable, so that nothing can be installed');

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The environment of a user who has only Node and npm: nothing of the npm that runs the tests. */
function environment(bin: string): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(npm_(?!config_registry)|ONNXRUNTIME|NODE_ENV)/i.test(name),
  );
  const system = (process.env['PATH'] ?? '').split(path.delimiter).filter((folder) => !folder.includes('node_modules'));
  return { ...Object.fromEntries(kept), PATH: [bin, ...system].join(path.delimiter) };
}

async function run(command: readonly string[], cwd: string, env: NodeJS.ProcessEnv): Promise<Ended> {
  const child = spawn(command[0] ?? '', command.slice(1), { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(child, 'close');
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { code, stdout, stderr };
}

/** Serves the models of this repository with `command`, and asks for the class of an image. */
async function classify(command: readonly string[], cwd: string, env: NodeJS.ProcessEnv): Promise<string> {
  const ports = ['--grpc-port', '0', '--http-port', '0'];
  const args = [...command.slice(1), 'serve', '--model-repository', MODELS, ...ports];
  const server = spawn(command[0] ?? '', args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  onTestFinished(() => {
    try {
      process.kill(-(server.pid ?? 0), 'SIGKILL');
    } catch {
      // It has ended.
    }
  });
  const log = text(server.stderr);
  for await (const line of createInterface(server.stdout)) {
    const [, address] = /^tensorgate ready: grpc ([^,]+)/.exec(line) ?? [];
    if (address === undefined) continue;
    const asked = await run([...command, 'infer', 'cifar10', '--url', address, '--image', IMAGE], cwd, env);
    server.kill('SIGTERM');
    await log;
    return asked.stdout + asked.stderr;
  }
  throw new Error(`the server ended before it was ready: ${await log}`);
}

describe.skipIf(!hasRegistry)('tensorgate is installed from nothing but an npm registry', () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tensorgate-install-'));
  let tarball: string;

  afterAll(() => fs.promises.rm(folder, { recursive: true, force: true }), INSTALL_MS);

  function emptyFolder(name: string): string {
    const directory = path.join(folder, name);
    fs.mkdirSync(directory, { recursive: true });
    return directory;
  }

  /** Returns the folder with `node` and `npm`. */
  async function installNode({ node, npm }: { readonly node: string; readonly npm: string }): Promise<string> {
    const directory = emptyFolder(`node-${node}`);
    fs.writeFileSync(path.join(directory, 'package.json'), '{"allowScripts":{"node":true}}');
    const { code, stderr } = await run(
      ['npm', 'install', `node@${node}`, `npm@${npm}`],
      directory,
      environment(path.join(ROOT, 'node_modules/.bin')),
    );
    expect({ code, stderr }).toMatchObject({ code: 0 });
    return path.join(directory, 'node_modules/.bin');
  }

  beforeAll(async () => {
    const env = environment(path.join(ROOT, 'node_modules/.bin'));
    const packed = await run(['npm', 'pack', '--pack-destination', folder], ROOT, env);
    expect(packed).toMatchObject({ code: 0 });
    tarball = path.join(folder, packed.stdout.trim().split('\n').at(-1) ?? '');
  }, INSTALL_MS);

  test.each(NODES)(
    'in an empty folder on Node $node, npm i brings a server that answers',
    async (versions) => {
      const bin = await installNode(versions);
      const env = environment(bin);
      const project = emptyFolder(`project-${versions.node}`);

      const installed = await run(['npm', 'i', tarball], project, env);
      expect(installed).toMatchObject({ code: 0 });
      expect(installed.stderr).not.toMatch(/EBADENGINE|npm error/);
      expect(await run(['npx', 'tensorgate', '--version'], project, env)).toMatchObject({
        code: 0,
        stdout: `${packageJson.version}\n`,
      });
      expect(await classify(['npx', 'tensorgate'], project, env)).toContain('airplane');
    },
    INSTALL_MS,
  );

  test(
    'globally, npm i -g brings the command tensorgate, which serves and answers',
    async () => {
      const env = environment(path.join(ROOT, 'node_modules/.bin'));
      const prefix = emptyFolder('global');

      const installed = await run(['npm', 'i', '-g', '--prefix', prefix, tarball], folder, env);
      expect(installed).toMatchObject({ code: 0 });
      const command = path.join(prefix, 'bin/tensorgate');
      expect(await classify([command], folder, env)).toContain('airplane');
    },
    INSTALL_MS,
  );

  test(
    'in a clone, also where npm runs on Node 20, the first block of README runs without a warning, and so does npx tensorgate',
    async () => {
      const clone = path.join(folder, 'clone');
      const env = environment(await installNode(UNSUPPORTED));
      expect(await run(['git', 'clone', '-q', ROOT, clone], folder, env)).toMatchObject({ code: 0 });
      const [, first = ''] = /```\w*\n([\s\S]*?)```/.exec(fs.readFileSync(path.join(clone, 'README.md'), 'utf8')) ?? [];

      const demo = await run(['sh', '-ec', first], clone, env);
      expect({ code: demo.code, stderr: demo.stderr }).toMatchObject({ code: 0 });
      expect(demo.stderr).not.toMatch(/EBADENGINE|npm (warn|error)/);
      expect(await classify(['npx', 'tensorgate'], clone, env)).toContain('airplane');
      const systems = fs.globSync('node_modules/onnxruntime-node/bin/*/*', { cwd: clone });
      expect(systems.map((system) => path.basename(system))).toEqual(['linux']);
      const { stdout: size } = await run(['du', '-sm', 'node_modules'], clone, env);
      // README says 450.
      expect(Number.parseInt(size, 10)).toBeLessThan(480);
    },
    INSTALL_MS,
  );

  test(
    'on Node 20 the command ends with 1 and one line that names the versions it runs on',
    async () => {
      const env = environment(await installNode(UNSUPPORTED));
      const project = emptyFolder('project-20');
      expect(await run(['npm', 'i', tarball], project, env)).toMatchObject({ code: 0 });
      const { code, stdout, stderr } = await run(['npx', 'tensorgate', 'serve'], project, env);
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(stderr).toMatch(/^error: tensorgate runs on Node .*, and this is Node 20\.\S+\n$/);
    },
    INSTALL_MS,
  );

  test(
    'in a project, tests of callers get types under nodenext and fake models that answer',
    async () => {
      const env = environment(await installNode(NODES[1]));
      const project = path.join(folder, 'project-24');
      const program = `import { InferenceClient, tensor } from 'tensorgate/client';
        import { createTestServer, fakeModel } from 'tensorgate/testing';
        const double = fakeModel({
          inputs: { x: { datatype: 'FP32', shape: [2] } },
          outputs: { y: { datatype: 'FP32', shape: [2] } },
          run: ({ x }) => ({ y: tensor.fp32(x.data.map((value) => 2 * value), x.shape) }),
        });
        await using server = await createTestServer({ models: { double } });
        await using client = new InferenceClient(server.address, { deadlineMs: 20_000 });
        const { outputs } = await client.infer('double', { x: tensor.fp32([1, 2], [2]) });
        console.log(String(outputs.get('y')?.data));`;
      fs.writeFileSync(path.join(project, 'fake.mts'), program);
      const compilerOptions = {
        ...{ module: 'nodenext', target: 'es2022', lib: ['es2022', 'esnext.disposable'], strict: true, noEmit: true },
        ...{ types: ['node'], typeRoots: [path.join(ROOT, 'node_modules/@types')] },
      };
      fs.writeFileSync(path.join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['fake.mts'] }));
      const tsc = path.join(ROOT, 'node_modules/.bin/tsc');
      expect(await run([tsc, '-p', project], project, env)).toMatchObject({ code: 0, stdout: '' });
      expect(await run(['node', 'fake.mts'], project, env)).toMatchObject({ code: 0, stdout: '2,4\n' });
    },
    INSTALL_MS,
  );

  test('the package holds ONNX Runtime for Linux, and none of its packages fetches anything when it is installed', () => {
    const [project] = fs.readdirSync(folder).filter((name) => name.startsWith('project-2'));
    const root = path.join(folder, project ?? '', 'node_modules');
    const lock = JSON.parse(fs.readFileSync(path.join(folder, project ?? '', 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { hasInstallScript?: boolean }>;
    };
    const scripts = Object.entries(lock.packages).filter(([, each]) => each.hasInstallScript === true);
    // Its script only looks at the version scheme of package.json.
    expect(scripts.map(([name]) => name)).toEqual(['node_modules/protobufjs']);
    const bindings = fs
      .globSync('tensorgate/dist/**/*.node', { cwd: root })
      .map((file) => file.split('/').slice(-3, -1));
    expect(bindings.sort()).toEqual([
      ['linux', 'arm64'],
      ['linux', 'x64'],
    ]);
  });
});
