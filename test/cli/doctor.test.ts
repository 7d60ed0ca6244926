import fs from 'node:fs';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Finding } from '../../src/gateway/ops/diagnosis/finding.ts';
import { mlpModel } from '../support/onnx-models.ts';
import { Repository } from '../support/repository.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { type Ended, runCommandLine } from './command-line.ts';

const MODELS = fileURLToPath(new URL('../../models/', import.meta.url));

/** Runs the doctor with settings that no other test disturbs. */
function doctor(...args: string[]): Promise<Ended> {
  const settings = ['--grpc-port', '0', '--http-port', '0', '--mailbox-directory', temporaryDirectory()];
  return runCommandLine(['doctor', ...settings, ...args], { cwd: temporaryDirectory() });
}

/** Level and text by subject. */
function linesOf({ stdout }: Ended): ReadonlyMap<string, readonly [level: string, text: string]> {
  const lines = [...stdout.matchAll(/^(ok|warn|fail) +([^:]+): (.*)$/gm)];
  return new Map(lines.map(([, level = '', subject = '', text = '']) => [subject, [level, text]]));
}

test('where serving would work, each thing has a line, and the exit code is 0', async () => {
  const ended = await doctor('--model-repository', MODELS);
  expect({ code: ended.code, stderr: ended.stderr }).toEqual({ code: 0, stderr: '' });
  const lines = linesOf(ended);
  expect([...lines.keys()].sort()).toEqual(
    [
      ...[
        'node',
        'settings',
        'cores',
        'memory',
        'open files',
        'grpc port',
        'http port',
        'mailbox',
        'onnxruntime',
        'cpu',
      ],
      ...['model cifar10 version 1', 'model cifar10 version 2'],
    ].sort(),
  );
  expect(lines.get('node')).toEqual(['ok', expect.stringContaining(process.versions.node)]);
  expect(lines.get('cpu')?.[0]).toBe('ok');
  expect(lines.get('model cifar10 version 2')).toEqual(['ok', expect.stringMatching(/^\d+ instances? on cpu$/)]);
  expect(ended.stdout.trimEnd().split('\n')).toHaveLength(lines.size + 1);
  expect(ended.stdout).toMatch(/\ntensorgate would serve here\n$/);
});

const hasGpu = fs.existsSync('/proc/driver/nvidia/version');
const isGpuPlatform = process.platform === 'linux' && process.arch === 'x64';
if (hasGpu || !isGpuPlatform)
  console.warn('SKIPPED: the absence of a GPU can be tested on linux/x64 without one alone');

describe.skipIf(hasGpu || !isGpuPlatform)('without a GPU', () => {
  test('CUDA has no line where no one asks for it', async () => {
    const lines = linesOf(await doctor());
    expect([...lines.keys()].filter((subject) => ['cuda', 'tensorrt'].includes(subject))).toEqual([]);
  });

  test('asked for with a fallback it is a warning with what to do, and serving works', async () => {
    const ended = await doctor('--execution-providers', 'cuda,cpu');
    expect(ended.code).toBe(0);
    expect(linesOf(ended).get('cuda')).toEqual([
      'warn',
      expect.stringMatching(/cpu is used instead: .*lib\w+\.so.*; to do: ./),
    ]);
  });

  test('asked for without one, serving does not work', async () => {
    const ended = await doctor('--execution-providers', 'cuda');
    expect(ended.code).toBe(1);
    expect(linesOf(ended).get('cuda')?.[0]).toBe('fail');
    expect(ended.stdout).toMatch(/\ntensorgate would not serve here: 1 check failed\n$/);
  });
});

test('a model that cannot be loaded is named, and the exit code is 1', async () => {
  const repository = new Repository({ broken: Buffer.from('no model'), good: mlpModel() });
  onTestFinished(() => repository[Symbol.dispose]());
  const ended = await doctor('--model-repository', repository.directory);
  expect(ended.code).toBe(1);
  const lines = linesOf(ended);
  expect(lines.get('model broken version 1')).toEqual(['fail', expect.stringContaining('is a text file')]);
  expect(lines.get('model good version 1')?.[0]).toBe('ok');
});

test('--json prints one object, with where each instance would run', async () => {
  const repository = new Repository({ broken: Buffer.from('no model'), good: mlpModel() });
  onTestFinished(() => repository[Symbol.dispose]());
  const { code, stdout } = await doctor('--json', '--model-repository', repository.directory);
  const { serves, findings }: { serves: boolean; findings: Finding[] } = JSON.parse(stdout);
  expect({ code, serves }).toEqual({ code: 1, serves: false });
  expect(findings.filter(({ level }) => level === 'fail').map(({ subject }) => subject)).toEqual([
    'model broken version 1',
  ]);
  const good = findings.find(({ subject }) => subject === 'model good version 1');
  expect(good?.instances?.[0]).toEqual({ provider: 'cpu', refusals: [] });
});

test('settings that are wrong are reported, each with its origin, and nothing else is tried', async () => {
  const ended = await runCommandLine(['doctor', '--grpc-port', '70000'], {
    env: { TENSORGATE_HTTP_PROT: '1' },
    cwd: temporaryDirectory(),
  });
  expect(ended.code).toBe(1);
  expect(ended.stdout).toMatch(/^fail {2}settings: --grpc-port: expected .* got '70000'$/m);
  expect(ended.stdout).toMatch(
    /^fail {2}settings: TENSORGATE_HTTP_PROT: there is no such setting; did you mean 'TENSORGATE_HTTP_PORT'\?$/m,
  );
  expect(ended.stdout).not.toContain('mailbox');
});

test('settings that contradict each other are reported, because `serve` refuses them', async () => {
  const tls = ['--tls-certificate', 'c.pem', '--transport', 'grpc-js'];
  const ended = await doctor('--control-principals', 'DNS:a', ...tls);
  expect(ended.code).toBe(1);
  expect(ended.stdout.match(/^fail .*$/gm)).toEqual([
    expect.stringMatching(/settings: .*--control-principals needs --tls-client-ca/),
    expect.stringMatching(/settings: .*--tls-certificate and --tls-private-key go together/),
    expect.stringMatching(/settings: .*TLS needs the transport h2/),
  ]);
  expect((await doctor('--tls-client-ca', 'ca.pem')).stdout).toMatch(/^fail {2}settings: .*--tls-client-ca needs/m);
});

test('a port that is in use, and a mailbox directory that is not there, are reported together', async () => {
  const listener = createServer();
  onTestFinished(() => void listener.close());
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const address = listener.address();
  const port = String(typeof address === 'object' ? address?.port : '');
  const ended = await doctor('--http-port', port, '--mailbox-directory', '/nosuch');
  expect(ended.code).toBe(1);
  const lines = linesOf(ended);
  expect(lines.get('http port')).toEqual(['fail', expect.stringContaining(`${port} (EADDRINUSE)`)]);
  expect(lines.get('mailbox')).toEqual(['fail', expect.stringContaining("'/nosuch'")]);
});
