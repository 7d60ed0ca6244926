/** Vectors of all-MiniLM-L6-v2 as a folder without a configuration, against references in Python. */

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { InferenceClient, tensor } from '../../src/client/inference-client.ts';
import type { ModelFiles } from '../support/repository.ts';
import { useServer } from '../support/server-fixture.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { miniLm, rustTokenizers } from '../tools/tools.ts';

const model = miniLm();
const tools = rustTokenizers();

const TEXTS = [
  'How do I reset my password?',
  'I forgot my login credentials',
  'The capital of France is Paris',
  "Paris is France's capital city",
  '',
  'ΑΘΗΝΑΣ naïve café 東京タワー 🎉',
  'a '.repeat(400),
  '[SEP] token',
];
const WIDTH = 384;
/** On a busy machine numpy takes minutes. */
const LIMIT_MS = 600_000;

/** The model of one package, and the tokenizer and the description of another, as they would lie in one folder. */
function exported(bytes: Uint8Array, folder: string): ModelFiles {
  const names = fs.readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.json'));
  const files = Object.fromEntries(names.map((name) => [name, fs.readFileSync(path.join(folder, name))]));
  return { versions: {}, files: { ...files, 'model.onnx': bytes } };
}

describe.skipIf(model === undefined || tools === undefined)('vectors of texts', () => {
  if (model === undefined || tools === undefined) return;
  const { python, folder } = tools;
  const fixture = useServer({ minilm: exported(model, folder) });

  /** Cosines with the reference, text by text. */
  async function cosines(...options: readonly string[]): Promise<number[]> {
    using client = new InferenceClient(fixture.server.grpc);
    const { outputs } = await client.infer('minilm', { text: tensor.bytes(TEXTS, [TEXTS.length]) });
    const vectors = outputs.get('sentence_embedding')?.data as Float32Array;
    const script = path.join(import.meta.dirname, 'sentence-vectors.py');
    const printed = execFileSync(python, [script, folder, ...options], {
      input: JSON.stringify(TEXTS),
      encoding: 'utf8',
      // Threads of BLAS that wait for each other take most of the time there.
      env: { ...process.env, OPENBLAS_NUM_THREADS: '1' },
    });
    const references = JSON.parse(printed) as number[][];
    return references.map((reference, row) =>
      reference.reduce((sum, value, at) => sum + value * (vectors[row * WIDTH + at] ?? Number.NaN), 0),
    );
  }

  test('are as from ONNX Runtime with the tokenizer in Rust', async () => {
    const file = path.join(temporaryDirectory(), 'model.onnx');
    fs.writeFileSync(file, model);
    expect(Math.min(...(await cosines(file)))).toBeGreaterThan(0.9999);
  });

  test('with weights of 8 bits are near the vectors of weights in FP32', { timeout: LIMIT_MS }, async () => {
    expect(Math.min(...(await cosines()))).toBeGreaterThan(0.995);
  });
});
