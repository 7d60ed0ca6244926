/** The npm package `@tensorgate/client`, packed from this checkout and installed in empty folders. */

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { mlpModel } from '../support/onnx-models.ts';
import { runProgram } from '../support/run-program.ts';
import { useServer } from '../support/server-fixture.ts';
import { bun, deno } from '../tools/tools.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const INSTALL_MS = 300_000;
/** Judges of npm packages and of their types. */
const JUDGES = ['publint@0.3.25', '@arethetypeswrong/cli@0.18.5'];

const hasRegistry = spawnSync('npm', ['ping', '--fetch-retries=0'], { stdio: 'ignore' }).status === 0;
if (!hasRegistry) console.warn('SKIPPED: no npm registry is reachable, so that nothing can be installed');

describe.skipIf(!hasRegistry)('@tensorgate/client', () => {
  const fixture = useServer({ mlp: mlpModel() });
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tensorgate-client-'));
  const project = path.join(folder, 'project');
  let tarball = '';

  async function run(command: readonly string[], cwd: string): Promise<{ code: number | null; output: string }> {
    const [program = '', ...args] = command;
    const { code, stdout, stderr } = await runProgram(program, args, { cwd });
    return { code, output: stdout + stderr };
  }

  beforeAll(async () => {
    const pack = ['npm', 'pack', '--workspace', '@tensorgate/client', '--pack-destination', folder];
    expect(await run(pack, ROOT)).toMatchObject({ code: 0 });
    [tarball = ''] = fs.globSync('*.tgz', { cwd: folder }).map((name) => path.join(folder, name));
    fs.mkdirSync(project);
    fs.writeFileSync(path.join(project, 'package.json'), '{"type":"module"}');
    const install = ['npm', 'i', '--no-audit', '--no-fund', tarball, '@types/node@24.19.2'];
    expect(await run(install, project)).toMatchObject({ code: 0 });
  }, INSTALL_MS);

  afterAll(() => fs.promises.rm(folder, { recursive: true, force: true }), INSTALL_MS);

  test('leaves nothing behind in the sources', () => {
    const left = ['dist', 'proto', 'LICENSE'].filter((name) => fs.existsSync(path.join(ROOT, 'src/client', name)));
    expect(left).toEqual([]);
  });

  test('takes at most 15 MB with all that it needs, and has no install script', () => {
    const modules = path.join(project, 'node_modules');
    const bytes = fs
      .readdirSync(modules, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .reduce((sum, entry) => sum + fs.statSync(path.join(entry.parentPath, entry.name)).size, 0);
    expect(bytes).toBeLessThan(15e6);
    const lock = JSON.parse(fs.readFileSync(path.join(project, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { hasInstallScript?: boolean }>;
    };
    const scripts = Object.entries(lock.packages).filter(([, each]) => each.hasInstallScript === true);
    // A dependency of grpc-js, whose script only looks at the version scheme of package.json.
    expect(scripts.map(([name]) => name)).toEqual(['node_modules/protobufjs']);
    expect(fs.globSync('**/*.node', { cwd: modules })).toEqual([]);
  });

  const CALL = (load: string): string => `${load}
    (async () => {
      const client = new InferenceClient(process.argv[2], { deadlineMs: 20_000, retry: true });
      const { inputs: [input] } = await client.modelMetadata('mlp');
      const shape = input.shape.map((size) => (size === -1 ? 1 : size));
      const data = new Float32Array(shape.reduce((a, b) => a * b));
      const { outputs } = await client.infer('mlp', { [input.name]: tensor.fp32(data, shape) });
      const failure = await client.infer('none', {}).catch((error) => error);
      console.log([...outputs.values()][0].data.constructor.name, failure instanceof InferenceError, failure.reason);
      client.close();
    })();`;
  const NAMES = '{ InferenceClient, InferenceError, tensor }';

  test.each([
    ['imported', 'call.mjs', `import ${NAMES} from '@tensorgate/client';`],
    ['required', 'call.cjs', `const ${NAMES} = require('@tensorgate/client');`],
  ])('calls a server where it is %s', async (_how, file, load) => {
    fs.writeFileSync(path.join(project, file), CALL(load));
    expect(await run([process.execPath, file, fixture.server.grpc], project)).toEqual({
      code: 0,
      output: 'Float32Array true model_not_found\n',
    });
  });

  /** Unary calls, a stream, readiness, an error with its reason, and a deadline. */
  const EVERYTHING = `import ${NAMES} from '@tensorgate/client';
    const client = new InferenceClient(process.argv[2], { deadlineMs: 20_000, retry: true });
    await client.waitUntilReady({ model: 'mlp' });
    const { inputs: [input] } = await client.modelMetadata('mlp');
    const shape = input.shape.map((size) => (size === -1 ? 1 : size));
    const inputs = { [input.name]: tensor.fp32(new Float32Array(shape.reduce((a, b) => a * b)), shape) };
    const { outputs } = await client.infer('mlp', inputs);
    const seen = [[...outputs.values()][0].data.constructor.name];
    for await (const { kind } of client.stream([{ model: 'mlp', inputs }, { model: 'none', inputs }])) seen.push(kind);
    for (const [model, deadlineMs] of [['none', 20_000], ['mlp', 0.001]]) {
      const failure = await client.infer(model, inputs, { deadlineMs }).catch((error) => error);
      seen.push(failure instanceof InferenceError && failure.status);
    }
    console.log(seen.join(' '));
    client.close();`;

  test.each([
    ['Bun', bun(), ['run']],
    ['Deno', deno(), ['run', '-A', '--no-remote', '--node-modules-dir=manual']],
  ])('calls a server from %s', async (name, program, args) => {
    if (program === undefined) return console.warn(`SKIPPED: ${name} is not installed (test/tools/setup.sh does)`);
    fs.writeFileSync(path.join(project, 'everything.mjs'), EVERYTHING);
    expect(await run([program, ...args, 'everything.mjs', fixture.server.grpc], project)).toEqual({
      code: 0,
      output: 'Float32Array result error NOT_FOUND DEADLINE_EXCEEDED\n',
    });
  });

  test.each([
    { module: 'nodenext', moduleResolution: 'nodenext' },
    { module: 'esnext', moduleResolution: 'bundler' },
  ])('has types under $moduleResolution, also for a compiler that knows no Float16Array', async (options) => {
    const source = `import { InferenceClient, type InferenceResult, tensor } from '@tensorgate/client';
      export async function classify(pixels: Uint8Array): Promise<Float32Array> {
        await using client = new InferenceClient(['a:1', 'b:1'], { tls: { ca: 'ca.pem' }, retry: { attempts: 2 } });
        const result: InferenceResult = await client.infer('m', { image: tensor.uint8(pixels, [1, 3]) });
        // @ts-expect-error: the elements of FP32 come in a Float32Array.
        const wrong: Uint8Array = result.output('p', 'FP32').data;
        void wrong;
        return result.output('p', 'FP32').data;
      }`;
    fs.writeFileSync(path.join(project, 'classify.ts'), source);
    const compilerOptions = {
      ...options,
      target: 'es2022',
      lib: ['es2022', 'esnext.disposable'],
      types: ['node'],
      strict: true,
      noEmit: true,
    };
    fs.writeFileSync(path.join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['classify.ts'] }));
    const tsc = path.join(ROOT, 'node_modules/.bin/tsc');
    // Declarations of the package itself are checked too.
    expect(await run([tsc, '-p', project], project)).toEqual({ code: 0, output: '' });
  });

  test(
    'passes publint and attw',
    async () => {
      const judges = path.join(folder, 'judges');
      fs.mkdirSync(judges);
      fs.writeFileSync(path.join(judges, 'package.json'), '{}');
      expect(await run(['npm', 'i', '--no-audit', '--no-fund', ...JUDGES], judges)).toMatchObject({ code: 0 });
      const publint = await run(['npx', 'publint', tarball, '--strict'], judges);
      expect(publint).toMatchObject({ code: 0, output: expect.stringContaining('All good') });
      // The package is an ES module, which Node's require() also takes: attw judges the resolutions of ES modules.
      const attw = await run(['npx', 'attw', tarball, '--profile', 'esm-only'], judges);
      expect(attw).toMatchObject({ code: 0, output: expect.stringContaining('@tensorgate/client v') });
    },
    INSTALL_MS,
  );
});
