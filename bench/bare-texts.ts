/**
 * node bare-texts.ts FOLDER TEXTS SECONDS: texts per CPU-second one by one, with onnxruntime-node in one thread and the tokenizer
 * and the pooling of this repository, without a server. TEXTS is a file with a JSON array.
 */

import fs from 'node:fs';
import path from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { PoolingStep } from '../src/worker/steps/pooling.ts';
import type { StepOutput } from '../src/worker/steps/step.ts';
import { TokenizerStep } from '../src/worker/steps/tokenizer.ts';

const WARM_UP_S = 2;

const [folder = '', file = '', seconds = '5'] = process.argv.slice(2);
const texts = JSON.parse(fs.readFileSync(file, 'utf8')) as readonly string[];
const session = await InferenceSession.create(path.join(folder, 'model.onnx'), {
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
});
const tokenizer = await TokenizerStep.open(folder, {
  kind: 'tokenizer',
  truncation: 'truncate',
  pair: false,
  specialTokensInText: false,
  maxTextBytes: 1_000_000,
});
const pooling = new PoolingStep({ kind: 'pooling', mode: 'mean', normalize: true });

await embedAll(WARM_UP_S);
const cpu = process.cpuUsage();
const count = await embedAll(Number(seconds));
const { user, system } = process.cpuUsage(cpu);
console.log((count * 1e6) / (user + system));

/** @returns how many texts were embedded */
async function embedAll(forS: number): Promise<number> {
  const end = performance.now() + forS * 1_000;
  for (let done = 0; ; done++) {
    if (performance.now() >= end) return done;
    await embed(texts[done % texts.length] ?? '');
  }
}

async function embed(text: string): Promise<void> {
  const [ids, mask, types] = tokenizer.run([{ shape: [1], data: [text] }]);
  if (ids === undefined || mask === undefined || types === undefined) throw new Error('a tokenizer without tokens');
  const { last_hidden_state: states } = await session.run({
    input_ids: int64(ids),
    attention_mask: int64(mask),
    token_type_ids: int64(types),
  });
  if (states === undefined) throw new Error('an encoder without last_hidden_state');
  const { buffer, byteOffset, byteLength } = states.data as Float32Array<ArrayBuffer>;
  const given = { shape: states.dims, data: new Uint8Array(buffer, byteOffset, byteLength) };
  pooling.run([given, { shape: mask.shape, data: mask.data as Uint8Array<ArrayBuffer> }]);
}

function int64({ shape, data }: StepOutput): Tensor {
  const { buffer, byteOffset, byteLength } = data as Uint8Array<ArrayBuffer>;
  return new Tensor('int64', new BigInt64Array(buffer, byteOffset, byteLength / 8), shape);
}
