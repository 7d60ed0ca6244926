/**
 * `npm run demo:rollout [-- DATA]`: the life of a new version, shown by the programs themselves. Version 1 serves; version 2 is
 * compressed from it, compared, shadowed, canaried and promoted, while callers ask all the time; a spoiled version 3 is refused.
 *
 * DATA is a folder of images, one folder for each class, or one with `train/` and `test/` of them. Without it, the ten photographs
 * of this folder are shifted and mirrored. Exits with 0 if every step ended as described.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { findImageLayout, readImage } from '../../src/cli/image-input.ts';
import { InferenceClient } from '../../src/client/inference-client.ts';
import { encodeOnnxModel, readOnnxModel } from '../../src/compress/onnx/model-file.ts';
import { Callers } from './callers.ts';
import { readAddress } from './server-address.ts';
import { type Shift, writeVariations } from './variations.ts';

const MODEL = 'cifar10';
const PROGRAM = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const PHOTOGRAPHS = fileURLToPath(new URL('images/', import.meta.url));
const MODELS = fileURLToPath(new URL('../../models/', import.meta.url));

/** Shifts to calibrate on, and others to judge on. */
const CALIBRATION: readonly Shift[] = [
  [0, 0],
  [2, 1],
  [-1, 3],
  [-3, -2],
  [4, -4],
];
const JUDGEMENT: readonly Shift[] = [
  [1, 0],
  [0, -2],
  [3, 3],
  [-4, 1],
  [-2, -1],
  [2, -3],
];
const LOAD: readonly Shift[] = [
  [0, 0],
  [1, 1],
  [-1, -1],
];

/**
 * Seconds instead of the minutes that a service would take; and since everything of this demo shares a few cores with its own
 * compression and load, its latencies are let be. The other limits are what the version's report lets expect.
 */
const COURSE = [
  '--shadow-share',
  '50%',
  '--comparisons',
  '200',
  '--hold',
  '2s',
  '--requests',
  '15',
  '--max-p99-ratio',
  '10',
];

const data = process.argv[2];
const work = await fs.mkdtemp(path.join(os.tmpdir(), 'tensorgate-demo-'));
const repository = path.join(work, 'models');
let server: ChildProcess | undefined;
let callers: Callers | undefined;
try {
  await play();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
} finally {
  await callers?.stop();
  server?.kill('SIGTERM');
  await fs.rm(work, { recursive: true, force: true });
}

async function play(): Promise<void> {
  say(
    `1. A service. Version 1 of ${MODEL} classifies pictures; its weights are float16. It serves, and callers ask it.`,
  );
  await fs.cp(path.join(MODELS, MODEL, '1'), versionPath(1), { recursive: true });
  for (const file of ['config.yaml', 'labels.txt'])
    await fs.cp(path.join(MODELS, MODEL, file), path.join(repository, MODEL, file));
  const flags = ['--model-control-mode', 'explicit', '--load-model', MODEL, '--grpc-port', '0', '--http-port', '0'];
  const serving = spawn(
    process.execPath,
    [PROGRAM, 'serve', '--model-repository', repository, '--log-level', 'error', ...flags],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  server = serving;
  const exited = once(serving, 'exit');
  const address = await readAddress(serving);
  const asking = await startCallers(address);
  callers = asking;

  say(
    '2. A smaller one. Version 2 is made from it: int8, calibrated on pictures, compared with version 1 on others, and published',
    'into the repository with the report of that, for nobody yet.',
  );
  const { calibrate, judge } = await findData();
  await run('compress', [
    MODEL,
    '--model-repository',
    repository,
    '--to',
    'int8',
    '--calibrate',
    calibrate,
    '--evaluate',
    judge,
    '--publish',
    'int8',
  ]);
  report(asking, ['1']);

  say(
    '3. The rollout. The server loads version 2 and copies requests to it, whose answers are compared and thrown away. Then it gets',
    '1, 10, 50 and 100 % of the requests, as long as everything is as its report lets expect. Callers notice nothing.',
  );
  await run('rollout', [MODEL, '--to', '2', ...COURSE, '--url', address]);
  report(asking, ['1', '2']);

  say(
    '4. A bad one. Version 3 is spoiled on purpose: the weights of its last layer are in reverse order. It loads, it is as fast as',
    'version 1, and every answer looks like an answer.',
  );
  await publishSpoiled();
  await run('rollout', [MODEL, '--to', '3', ...COURSE, '--url', address], 1);
  report(asking, ['2']);

  say('5. What is left: version 2 answers, and what happened is written down.');
  await run('rollout', ['status', '--url', address]);
  await asking.stop();
  report(asking, ['2']);
  serving.kill('SIGTERM');
  const [code] = await exited;
  if (code !== 0) throw new Error(`the server ended with ${code}`);
  say('It went as planned.');
}

function say(...lines: readonly string[]): void {
  console.log(`\n${lines.join('\n   ')}\n`);
}

function versionPath(version: number): string {
  return path.join(repository, MODEL, String(version));
}

/** Runs a command of the program, which prints for itself. @throws Error where it ends otherwise than it should. */
async function run(command: string, args: readonly string[], expected = 0): Promise<void> {
  console.log(`$ tensorgate ${[command, ...args].join(' ')}`);
  const child = spawn(process.execPath, [PROGRAM, command, ...args], { stdio: ['ignore', 'inherit', 'inherit'] });
  const [code] = await once(child, 'exit');
  if (code !== expected) throw new Error(`tensorgate ${command} ended with ${code}, and ${expected} was expected`);
  if (expected !== 0) console.log(`(exit code ${code})`);
}

/** Says who answered the callers since it was last said. @throws Error where a call failed, or another version answered. */
function report(callers: Callers, versions: readonly string[]): void {
  const { answers, failures } = callers.count();
  const counts = [...answers]
    .sort(([a], [b]) => Number(a) - Number(b))
    .map(([version, count]) => `${count} by version ${version}`);
  console.log(`callers meanwhile: ${counts.join(', ')}; ${failures.length} calls failed`);
  if (failures.length > 0) throw new Error(failures.join('\n'));
  const others = [...answers.keys()].filter((version) => !versions.includes(version));
  if (others.length > 0 || answers.size < versions.length)
    throw new Error(`versions ${versions.join(' and ')} were to answer`);
}

async function startCallers(address: string): Promise<Callers> {
  const pictures = path.join(work, 'asked');
  await writeVariations(PHOTOGRAPHS, pictures, LOAD);
  const files = (await fs.readdir(pictures, { recursive: true })).filter((file) => file.endsWith('.png')).sort();
  using client = new InferenceClient(address, { deadlineMs: 10_000 });
  const layout = findImageLayout(await client.modelMetadata(MODEL));
  const images = await Promise.all(files.map((file) => readImage(path.join(pictures, file), layout)));
  return new Callers(address, MODEL, layout.input, images);
}

/** Pictures to calibrate on, and others to judge on. */
async function findData(): Promise<{ readonly calibrate: string; readonly judge: string }> {
  if (data !== undefined) {
    const [train, test] = ['train', 'test'].map((part) => path.join(data, part));
    const parts = await Promise.all([train, test].map((part) => fs.stat(part ?? '').catch(() => undefined)));
    return parts.every((part) => part?.isDirectory())
      ? { calibrate: train ?? data, judge: test ?? data }
      : { calibrate: data, judge: data };
  }
  const [calibrate, judge] = [path.join(work, 'calibrate'), path.join(work, 'judge')];
  const counts = [
    await writeVariations(PHOTOGRAPHS, calibrate, CALIBRATION),
    await writeVariations(PHOTOGRAPHS, judge, JUDGEMENT),
  ];
  console.log(`(no data given: ten photographs, shifted and mirrored, are ${counts.join(' and ')} pictures)`);
  return { calibrate, judge };
}

/** Version 3: version 1 with the weights of its last layer in reverse order. It appears at once, as versions should. */
async function publishSpoiled(): Promise<void> {
  const model = await readOnnxModel(path.join(versionPath(1), 'model.onnx'));
  const weights = model.graph?.initializer.findLast(({ dims }) => dims.length === 2);
  if (weights === undefined) throw new Error('the model has no layer of weights');
  // Two bytes each: float16.
  const halves = new Uint16Array(Uint8Array.from(weights.rawData).buffer);
  weights.rawData = new Uint8Array(halves.reverse().buffer);
  const draft = path.join(repository, MODEL, '.draft');
  await fs.mkdir(draft);
  await fs.writeFile(path.join(draft, 'model.onnx'), encodeOnnxModel(model, 'version 3'));
  await fs.rename(draft, versionPath(3));
}
