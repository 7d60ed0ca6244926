/**
 * `npm run demo`: starts the server on the models of this repository, warms it up, and classifies one photograph. Then it
 * classifies ten at the same time, which the server batches, and stops the server again. Exits 0 when at least nine answers
 * are right and the server ended cleanly.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { findImageLayout, readImage } from '../../src/cli/image-input.ts';
import { formatTable } from '../../src/cli/table.ts';
import { type AnyTensor, InferenceClient } from '../../src/client/inference-client.ts';
import { readAddress } from './server-address.ts';

const MODEL = 'cifar10';
const MIN_RIGHT = 9;
/** Passes over all photographs, unmeasured: a young process runs slower. */
const WARM_UP_PASSES = 20;
/** Photographs one after another; their median is printed. */
const SINGLE_CALLS = 20;

const images = fileURLToPath(new URL('images/', import.meta.url));
const models = fileURLToPath(new URL('../../models/', import.meta.url));
const program = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

const server = spawn(
  process.execPath,
  [program, 'serve', '--model-repository', models, '--grpc-port', '0', '--http-port', '0'],
  { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, LOG_LEVEL: 'warn' } },
);
const exited = once(server, 'exit');
let isRight: readonly boolean[] = [];
try {
  isRight = await classifyAll(await readAddress(server));
} finally {
  server.kill('SIGTERM');
}
const [exitCode] = await exited;
const right = isRight.filter(Boolean).length;
console.log(`${right} of ${isRight.length} are right; the server ended with exit code ${exitCode}`);
process.exitCode = right >= MIN_RIGHT && exitCode === 0 ? 0 : 1;

/** Classifies every image and prints the answers and times. Returns which answers are right. */
async function classifyAll(address: string): Promise<boolean[]> {
  using client = new InferenceClient(address, { deadlineMs: 10_000 });
  const layout = findImageLayout(await client.modelMetadata(MODEL));
  const files = (await readdir(images)).filter((file) => file.endsWith('.png')).sort();
  const pixels = await Promise.all(files.map((file) => readImage(images + file, layout)));
  const classifyBatch = (): Promise<Answer[]> =>
    Promise.all(pixels.map((image) => classify(client, { [layout.input]: image })));
  for (let pass = 0; pass < WARM_UP_PASSES; pass++) await classifyBatch();
  const singles: number[] = [];
  for (let call = 0; call < SINGLE_CALLS; call++) {
    const image = pixels[call % pixels.length];
    if (image !== undefined) singles.push((await classify(client, { [layout.input]: image })).ms);
  }
  const start = performance.now();
  const answers = await classifyBatch();
  const batchMs = performance.now() - start;
  const verdicts = answers.map(({ label }, i) => files[i]?.startsWith(label) ?? false);
  const rows = answers.map(({ label, probability, batchRows, ms }, i) => [
    files[i] ?? '',
    verdicts[i] ? label : `${label} (wrong)`,
    Number(probability).toFixed(2),
    String(batchRows ?? '?'),
    ms.toFixed(1),
  ]);
  console.log(formatTable(['image', 'label', 'probability', 'batch', 'ms'], rows).trimEnd());
  const singleMs = singles.sort((a, b) => a - b)[singles.length >> 1] ?? Number.NaN;
  console.log(
    `one image: ${singleMs.toFixed(1)} ms; ${files.length} images at the same time: ${batchMs.toFixed(1)} ms`,
  );
  return verdicts;
}

interface Answer {
  readonly label: string;
  readonly probability: string;
  readonly batchRows: number | undefined;
  readonly ms: number;
}

async function classify(client: InferenceClient, inputs: Readonly<Record<string, AnyTensor>>): Promise<Answer> {
  const start = performance.now();
  const outputs = { probabilities: { classification: 1 } };
  const result = await client.infer(MODEL, inputs, { outputs, timing: true });
  const [best = ''] = result.output('probabilities', 'BYTES').strings();
  const [probability = '', , label = ''] = best.split(':');
  return { label, probability, batchRows: result.timing?.batchRows, ms: performance.now() - start };
}
