/**
 * `node test/gateway/accept/page/record-states.ts [SERVER]`: writes the states of `states/`, recorded from real servers, or from one
 * of `empty`, `well`, `broken`, `busy`. Of the runs of a version only a few are kept.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { InferenceClient, tensor } from '../../../../src/client/inference-client.ts';
import { batchMeanModel, mlpModel, writeModel } from '../../../support/onnx-models.ts';

const PROGRAM = fileURLToPath(new URL('../../../../src/cli/main.ts', import.meta.url));
const CIFAR10 = fileURLToPath(new URL('../../../../models/cifar10/1', import.meta.url));
const STATES = fileURLToPath(new URL('states/', import.meta.url));
const work = fs.mkdtempSync(path.join(os.tmpdir(), 'tensorgate-states-'));

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  return port;
}

async function snapshotOf(http: number): Promise<Record<string, unknown>> {
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${http}/page/snapshot`).catch(() => undefined);
    if (answer?.ok === true) return (await answer.json()) as Record<string, unknown>;
    await sleep(10);
  }
}

async function record(name: string, http: number): Promise<void> {
  const text = JSON.stringify(await snapshotOf(http), (key, value) => {
    if (key === 'runs') return value.slice(-3);
    return typeof value === 'string' ? value.replaceAll(work, '/srv') : value;
  });
  fs.writeFileSync(path.join(STATES, `${name}.json`), `${text}\n`);
  console.log(name);
}

async function withServer(
  name: string,
  run: (http: number, grpc: string, child: ReturnType<typeof spawn>) => Promise<void>,
): Promise<void> {
  if (process.argv[2] !== undefined && process.argv[2] !== name) return;
  const [http, grpc] = [await freePort(), await freePort()];
  const repository = path.join(work, name);
  const args = [
    'serve',
    repository,
    '--http-port',
    String(http),
    '--grpc-port',
    String(grpc),
    '--lame-duck-ms',
    '3000',
    '--log-level',
    'error',
  ];
  const child = spawn(process.execPath, [PROGRAM, ...args], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  await run(http, `127.0.0.1:${grpc}`, child);
  child.kill('SIGTERM');
  await ended;
}

async function ready(http: number): Promise<void> {
  while (((await snapshotOf(http))['server'] as { phase: string }).phase === 'loading') await sleep(50);
}

try {
  fs.mkdirSync(STATES, { recursive: true });
  for (const name of ['well', 'broken']) {
    writeModel(path.join(work, name), 'eta', 1, mlpModel());
    writeModel(path.join(work, name), 'ranker', 3, batchMeanModel());
  }
  writeModel(path.join(work, 'broken'), 'depth', 2, Buffer.from('half of a file'));
  fs.cpSync(CIFAR10, path.join(work, 'busy/cifar10/1'), { recursive: true });
  fs.mkdirSync(path.join(work, 'empty'));

  await withServer('empty', async (http) => {
    await ready(http);
    await record('empty', http);
  });
  await withServer('well', async (http, grpc, child) => {
    await record('loading', http);
    await ready(http);
    await record('quiet', http);
    using client = new InferenceClient(grpc, { deadlineMs: 30_000 });
    for (let each = 0; each < 60; each++) {
      await client.infer('eta', { input: tensor.fp32(new Float32Array(4), [1, 4]) });
      await client.infer('ranker', { input: tensor.fp32(new Float32Array(4), [1, 4]) });
    }
    await record('ready', http);
    child.kill('SIGTERM');
    await sleep(500);
    await record('draining', http);
  });
  await withServer('broken', async (http) => {
    await ready(http);
    await record('one-model-broken', http);
  });
  await withServer('busy', async (http, grpc) => {
    await ready(http);
    using client = new InferenceClient(grpc, { deadlineMs: 400 });
    const image = tensor.uint8(new Uint8Array(3_072), [1, 3, 32, 32]);
    const ask = () => client.infer('cifar10', { image });
    for (let each = 0; each < 20; each++) await ask().catch(() => {});
    const asked: Promise<unknown>[] = [];
    for (let wave = 0; wave < 20; wave++) {
      asked.push(...Array.from({ length: 100 }, () => ask().catch(() => {})));
      await sleep(100);
    }
    await Promise.all(asked);
    await record('overload', http);
  });
} finally {
  fs.rmSync(work, { recursive: true, force: true });
}
