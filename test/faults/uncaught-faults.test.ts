/** What nothing in the server caught: a refusal of the system ends nothing, a bug ends the server in good order. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test, vi } from 'vitest';
import { InferenceClient } from '../../src/client/inference-client.ts';
import { loopModel } from '../support/onnx-models.ts';
import { Repository } from '../support/repository.ts';
import { runnerPidsOf } from '../support/server.ts';
import { askLoop } from './loop-requests.ts';
import { readReadiness } from './observation.ts';
import { ServerProcess } from './server-process.ts';

const PROGRAM = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const PATIENCE = { timeout: 30_000, interval: 10 };

function loopRepository(): Repository {
  return new Repository({ loop: { versions: { 1: loopModel() }, config: { instance_group: [{ count: 1 }] } } });
}

async function serveFaulty(repository: Repository): Promise<ServerProcess> {
  vi.stubEnv('NODE_OPTIONS', `--import=${new URL('uncaught-faults.ts', import.meta.url)}`);
  onTestFinished(() => void vi.unstubAllEnvs());
  return new ServerProcess(repository.directory, ['--lame-duck-ms', '0']);
}

test('an error event of the system without a listener is logged, and the server serves on', async () => {
  using repository = loopRepository();
  await using server = await serveFaulty(repository);
  const { grpc, http } = await server.ready;
  using client = new InferenceClient(grpc, { deadlineMs: 20_000 });
  const isLogged = (): boolean => server.log.some((line) => line.includes('the system refused open ENOENT'));
  process.kill(server.pid, 'SIGUSR2');
  await vi.waitUntil(isLogged, PATIENCE);
  expect(await askLoop(client, 1)).toBe(1);
  expect(await readReadiness({ http })).toEqual({ code: 200, text: 'ready\n' });
});

test('a runner that sends a malformed message does not end the server', async () => {
  using repository = loopRepository();
  await using server = await serveFaulty(repository);
  const { grpc, http } = await server.ready;
  using client = new InferenceClient(grpc, { deadlineMs: 20_000 });
  const [runner = Number.NaN] = server.runnerPids();
  process.kill(runner, 'SIGUSR2');
  await vi.waitUntil(() => server.log.some((line) => line.includes('a runner sent a malformed message')), PATIENCE);
  expect(await askLoop(client, 1)).toBe(1);
  // The channel still works: a runner that dies is replaced.
  process.kill(runner, 'SIGKILL');
  await vi.waitUntil(() => !server.runnerPids().includes(runner), PATIENCE);
  expect(await askLoop(client, 2)).toBe(2);
  expect(await readReadiness({ http })).toEqual({ code: 200, text: 'ready\n' });
});

test('after a rejection that nothing handles, accepted requests are answered, and the server exits with 1', async () => {
  using repository = loopRepository();
  await using server = await serveFaulty(repository);
  const { grpc } = await server.ready;
  using client = new InferenceClient(grpc, { deadlineMs: 20_000 });
  expect(await askLoop(client, 1)).toBe(1);
  const accepted = askLoop(client, 2, { iterations: 2_000 });
  // A call on the same connection is answered after the one before was accepted.
  expect(await client.serverReady()).toBe(true);
  process.kill(server.pid, 'SIGWINCH');
  expect(await accepted).toBe(2);
  expect(await server.ended).toEqual({ code: 1, signal: null });
  expect(server.log.join('\n')).toContain('a bug of the server: it drains, and ends');
  expect(server.log.join('\n')).toContain('a bug that a test has put here');
});

test('a server whose output no one reads any more serves on, and logs into the void', async () => {
  using repository = loopRepository();
  const args = ['serve', '--model-repository', repository.directory, '--grpc-port', '0', '--http-port', '0'];
  const child = spawn(process.execPath, [PROGRAM, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(child, 'exit');
  onTestFinished(() => void child.kill('SIGKILL'));
  let printed = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed += text;
  });
  const grpc = await vi.waitUntil(() => /ready: grpc ([^,]+),/.exec(printed)?.[1], PATIENCE);
  child.stdout.destroy();
  child.stderr.destroy();
  using client = new InferenceClient(grpc, { deadlineMs: 20_000 });
  for (let death = 1; death <= 3; death++) {
    expect(await askLoop(client, death)).toBe(death);
    // Its end is logged.
    const [runner = Number.NaN] = runnerPidsOf(child.pid ?? Number.NaN);
    process.kill(runner, 'SIGKILL');
    await vi.waitUntil(() => !runnerPidsOf(child.pid ?? Number.NaN).includes(runner), PATIENCE);
  }
  expect(await askLoop(client, 4)).toBe(4);
  child.kill('SIGTERM');
  expect(await ended).toEqual([0, null]);
});
