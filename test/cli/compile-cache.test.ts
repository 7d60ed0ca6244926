import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { identityModel } from '../support/onnx-models.ts';
import { Repository } from '../support/repository.ts';
import { startServer } from '../support/server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { PROGRAM, runCommandLine } from './command-line.ts';

/** The directory of the cache, in the caches of a user. */
const cacheIn = (caches: string): string => path.join(caches, 'tensorgate');

function modulesIn(cache: string): number {
  return existsSync(cache) ? readdirSync(cache, { recursive: true }).length : 0;
}

test('a command leaves compiled code in the cache of its user', async () => {
  const caches = temporaryDirectory();
  expect((await runCommandLine(['--version'], { env: { XDG_CACHE_HOME: caches } })).code).toBe(0);
  expect(modulesIn(cacheIn(caches))).toBeGreaterThan(10);
});

test('a server leaves its compiled code before it ends, and its runners have the same cache', async () => {
  const caches = temporaryDirectory();
  using repository = new Repository({ identity: { versions: { 1: identityModel('FP32', [-1]) } } });
  await using server = await startServer(repository.directory, { env: { XDG_CACHE_HOME: caches } });
  await expect.poll(() => modulesIn(cacheIn(caches))).toBeGreaterThan(200);
  const [runner = Number.NaN] = server.runnerPids();
  const environment = readFileSync(`/proc/${runner}/environ`, 'utf8').split('\0');
  expect(environment).toContain(`NODE_COMPILE_CACHE=${cacheIn(caches)}`);
});

test.each([
  ['a directory that cannot be made', { XDG_CACHE_HOME: '/proc/none' }],
  ['a relative directory, which the XDG specification forbids', { XDG_CACHE_HOME: 'caches', HOME: '/proc/none' }],
])('%s is no cache, and harms nothing', async (_, env) => {
  expect(await runCommandLine(['--version'], { env })).toMatchObject({ code: 0, stderr: '' });
});

test('a user without a name and a home has no cache, and every command works', ({ skip }) => {
  const nameless = ['--reuid=54321', '--regid=54321', '--clear-groups', 'env', '-u', 'HOME', '-u', 'XDG_CACHE_HOME'];
  const run = (...args: string[]) =>
    spawnSync('setpriv', [...nameless, process.execPath, ...args], { encoding: 'utf8' });
  const canRead = `require('node:fs').readFileSync(${JSON.stringify(PROGRAM)})`;
  if (run('-e', canRead).status !== 0)
    skip('this needs root and setpriv, to run as another user, who may read this checkout');
  // Otherwise this shows nothing.
  expect(run('-e', `require('node:os').homedir()`).stderr).toContain('homedir');
  expect(run(PROGRAM, '--version')).toMatchObject({ status: 0, stderr: '' });
});

test('NODE_DISABLE_COMPILE_CACHE switches the cache off', async () => {
  const caches = temporaryDirectory();
  await runCommandLine(['--version'], { env: { XDG_CACHE_HOME: caches, NODE_DISABLE_COMPILE_CACHE: '1' } });
  expect(modulesIn(cacheIn(caches))).toBe(0);
});
