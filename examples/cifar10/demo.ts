/**
 * `npm run demo`: starts the server on the models of this repository, classifies ten photographs at a time, so that they
 * ride in batches, and stops the server again. Exits 0 when at least nine answers are right and the server ended cleanly.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { findImageLayout, readImage } from '../../src/cli/image-input.ts';
import { formatTable } from '../../src/cli/table.ts';
import { InferenceClient } from '../../src/client/inference-client.ts';
import { readAddress } from './server-address.ts';

const MODEL = 'cifar10';
const MIN_RIGHT = 9;

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

/** Classifies every image, all at a time, and prints a table. Returns which answers are right. */
async function classifyAll(address: string): Promise<boolean[]> {
  using client = new InferenceClient(address, { deadlineMs: 10_000 });
  const layout = findImageLayout(await client.modelMetadata(MODEL));
  const files = (await readdir(images)).filter((file) => file.endsWith('.png')).sort();
  const pixels = await Promise.all(files.map((file) => readImage(images + file, layout)));
  const answers = await Promise.all(
    pixels.map(async (image) => {
      const start = performance.now();
      const outputs = { probabilities: { classification: 1 } };
      const result = await client.infer(MODEL, { [layout.input]: image }, { outputs, timing: true });
      const [best = ''] = result.output('probabilities', 'BYTES').strings();
      const [probability = '', , label = ''] = best.split(':');
      return { label, probability, batchRows: result.timing?.batchRows, ms: performance.now() - start };
    }),
  );
  const verdicts = answers.map(({ label }, i) => files[i]?.startsWith(label) ?? false);
  const rows = answers.map(({ label, probability, batchRows, ms }, i) => [
    files[i] ?? '',
    verdicts[i] ? label : `${label} (wrong)`,
    Number(probability).toFixed(2),
    String(batchRows ?? '?'),
    ms.toFixed(1),
  ]);
  console.log(formatTable(['image', 'label', 'probability', 'batch', 'ms'], rows).trimEnd());
  return verdicts;
}
