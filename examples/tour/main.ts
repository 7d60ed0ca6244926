/**
 * `npm run tour [-- FOLDER]`: the pictures of docs/tour.md, taken from a real server: a report of `tensorgate bench`, and the page at
 * `/`. Three models serve, callers ask them at random times; then a version is rolled out, more callers come than fit, a process is
 * killed, and a file is broken. It takes four minutes and needs Chromium.
 */

import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { tensor } from '../../src/client/inference-client.ts';
import { batchMeanModel, mlpModel, writeModel } from '../../test/support/onnx-models.ts';
import { output, runProgram } from '../../test/support/run-program.ts';
import { startServer, type TestServer } from '../../test/support/server.ts';
import { chromium } from '../../test/tools/tools.ts';
import { type Flow, Load, randomFloats } from './load.ts';
import { Photographer } from './photographer.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const IMAGE = path.join(ROOT, 'examples/cifar10/images/ship-0160.png');
const COURSE = [
  ...['--comparisons', '60', '--steps', '5,25,50,100', '--hold', '14s', '--requests', '20'],
  // Noise instead of photographs: two versions disagree on it more often.
  ...['--max-p99-ratio', '50', '--min-agreement', '80%'],
];
const LEVELS = ['--rate', '25:400', '--slo', '50ms', '--duration', '4s'];
const WIDE = { width: 1440, height: 900 } as const;
const REPORT = { width: 1100, height: 900 } as const;
const PHONE = { width: 400, height: 800 } as const;

const cifar: Flow = {
  model: 'cifar10',
  rate: 20,
  deadlineMs: 30_000,
  inputs: () => ({
    image: tensor.uint8(
      Uint8Array.from({ length: 3_072 }, () => Math.random() * 256),
      [1, 3, 32, 32],
    ),
  }),
};
const eta: Flow = { model: 'eta', rate: 9, deadlineMs: 30_000, inputs: () => ({ input: randomFloats([1, 4]) }) };
const ranker: Flow = { model: 'ranker', rate: 4, deadlineMs: 30_000, inputs: () => ({ input: randomFloats([8, 4]) }) };

const folder = path.resolve(process.argv[2] ?? path.join(ROOT, 'docs/images'));
const executable = chromium();
if (executable === undefined) throw new Error('Chromium is not installed: test/tools/setup.sh does');
const work = await fs.mkdtemp(path.join(os.tmpdir(), 'tensorgate-tour-'));
const repository = path.join(work, 'models');
await fs.mkdir(folder, { recursive: true });
try {
  await makeRepository();
  const flags = ['--model-control-mode', 'explicit', '--load-model', 'cifar10,eta,ranker', '--log-level', 'error'];
  await using server = await startServer(repository, { flags });
  await using photographer = await Photographer.start(executable, folder);
  const load = new Load(server.grpc);
  try {
    await walk(server, load, photographer);
  } finally {
    await load.stop();
  }
} finally {
  await fs.rm(work, { recursive: true, force: true });
}

async function makeRepository(): Promise<void> {
  for (const name of ['1', 'config.yaml', 'labels.txt']) await copyOfCifar(name);
  writeModel(repository, 'eta', 1, mlpModel());
  writeModel(repository, 'ranker', 3, batchMeanModel());
}

async function copyOfCifar(name: string): Promise<void> {
  await fs.cp(path.join(ROOT, 'models/cifar10', name), path.join(repository, 'cifar10', name), { recursive: true });
}

async function walk(server: TestServer, load: Load, photographer: Photographer): Promise<void> {
  const program = path.join(ROOT, 'src/cli/main.ts');
  const report = path.join(work, 'report');
  // It ends with 1 where this machine misses the objective.
  await runProgram(process.execPath, [
    program,
    'bench',
    'cifar10',
    '--url',
    server.grpc,
    ...LEVELS,
    '--report',
    report,
  ]);
  const page = pathToFileURL(path.join(report, 'index.html')).href;
  await photographer.take(page, { name: 'bench-report', ...REPORT, colorScheme: 'light', full: true });
  for (const flow of [cifar, eta, ranker]) load.start(flow);
  await sleep(45_000);
  await photographer.take(server.http, { name: 'page-list-light', ...WIDE, height: 640, colorScheme: 'light' });
  await photographer.take(
    `${server.http}/#/cifar10`,
    { name: 'page-try-dark', ...WIDE, height: 820, colorScheme: 'dark' },
    async (page) => {
      await page.setInputFiles('#file', IMAGE);
      await page.waitForSelector('#result svg');
    },
  );

  await copyOfCifar('2');
  const rollout = ['rollout', 'cifar10', '--to', '2', '--shadow-share', '50%', ...COURSE, '--url', server.grpc];
  const rolledOut = output(process.execPath, [program, ...rollout]);
  // How it ends depends on the machine: a busy one may roll it back, and the page then says why.
  rolledOut.catch(() => {});
  load.start({ ...cifar, rate: 2_500, deadlineMs: 60 }, 8);
  await sleep(20_000);
  const [, , killed] = server.runnerPids();
  if (killed !== undefined) process.kill(killed, 'SIGKILL');
  await sleep(22_000);
  await photographer.take(`${server.http}/#/cifar10`, {
    name: 'page-model-light',
    ...WIDE,
    colorScheme: 'light',
    full: true,
  });
  await rolledOut.catch(() => {});

  await fs.mkdir(path.join(repository, 'depth/2'), { recursive: true });
  await fs.writeFile(path.join(repository, 'depth/2/model.onnx'), 'half of a file');
  await fetch(`${server.http}/v2/repository/models/depth/load`, { method: 'POST' });
  await sleep(3_000);
  await photographer.take(server.http, { name: 'page-list-dark', ...WIDE, height: 720, colorScheme: 'dark' });
  await photographer.take(server.http, { name: 'page-phone', ...PHONE, colorScheme: 'light' });
  await photographer.take(`${server.http}/#/cifar10`, { name: 'page-phone-model', ...PHONE, colorScheme: 'dark' });
}
