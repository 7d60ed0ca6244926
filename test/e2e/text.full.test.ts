/** Text in, vectors and classes out, as clients see it: steps by themselves, and folders as exporters leave them. */

import { Buffer } from 'node:buffer';
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { InferenceClient, tensor } from '../../src/client/inference-client.ts';
import type { ModelFiles } from '../support/repository.ts';
import { useServer } from '../support/server-fixture.ts';
import { type Files, idsOf, sentenceEncoder, textClassifier, tokenizerFiles, WORDS } from '../support/text-exports.ts';

/** Files of a folder, as a repository of the tests takes them. */
function folder(files: Files, prefix = ''): Record<string, string | Uint8Array> {
  const entries = Object.entries(files).map(([name, content]) => {
    return [prefix + name, content instanceof Uint8Array ? content : JSON.stringify(content)] as const;
  });
  return Object.fromEntries(entries);
}

function exported(files: Files): ModelFiles {
  return { versions: {}, files: folder(files) };
}

function step(platform: string, tensorgate: object = {}, files: Files = {}): ModelFiles {
  return { versions: { 1: undefined }, config: { platform, tensorgate }, files: folder(files, '1/') };
}

const tokenizer = (options: object = {}): ModelFiles =>
  step('tensorgate_tokenizer', { tokenizer: options }, tokenizerFiles());

const fixture = useServer({
  tokens: tokenizer(),
  short: tokenizer({ max_length: 5 }),
  strict: tokenizer({ max_length: 5, truncation: 'refuse', max_text_bytes: 64 }),
  plain: tokenizer({ special_tokens_in_text: false }),
  pairs: tokenizer({ pair: true, max_length: 9 }),
  mean: step('tensorgate_pooling', { pooling: { normalize: false } }),
  cut: step('tensorgate_pooling', { pooling: { width: 3, dimensions: 2 } }),
  classes: step('tensorgate_labels', { classes: { labels: ['no', 'yes'], top_k: 1 } }),
  minilm: exported(sentenceEncoder()),
  feelings: exported(textClassifier(2)),
  reranker: exported(textClassifier(1)),
  captions: exported({
    ...sentenceEncoder(),
    'modules.json': [{ type: 'sentence_transformers.models.Dense', path: '' }],
  }),
});

function client(): InferenceClient {
  return new InferenceClient(fixture.server.grpc);
}

const texts = (...all: string[]) => tensor.bytes(all, [all.length]);

async function executions(name: string): Promise<number> {
  const { model_stats: stats } = await fixture.client.call('ModelStatistics', { name });
  return Number((stats as { execution_count: string }[])[0]?.execution_count);
}

/** Rows of an integer output. */
async function rowsOf(
  model: string,
  inputs: Parameters<InferenceClient['infer']>[1],
  output: string,
): Promise<number[][]> {
  using caller = client();
  const { outputs } = await caller.infer(model, inputs);
  const { shape = [], data } = outputs.get(output) ?? {};
  const values = [...(data as Iterable<bigint>)].map(Number);
  const [rows = 0, length = 0] = shape;
  return Array.from({ length: rows }, (_, row) => values.slice(row * length, (row + 1) * length));
}

const [CLS, SEP, PAD] = [WORDS.indexOf('[CLS]'), WORDS.indexOf('[SEP]'), WORDS.indexOf('[PAD]')] as [
  number,
  number,
  number,
];

describe('a tokenizer', () => {
  test('gives ids with special tokens, padded to the longest text of the request', async () => {
    const inputs = { text: texts('The Cat sits.', 'unknowns') };
    expect(await rowsOf('tokens', inputs, 'input_ids')).toEqual([
      [CLS, ...idsOf('the cat sits .'), SEP],
      [CLS, ...idsOf('un ##known ##s'), SEP, PAD],
    ]);
    expect(await rowsOf('tokens', inputs, 'attention_mask')).toEqual([
      [1, 1, 1, 1, 1, 1],
      [1, 1, 1, 1, 1, 0],
    ]);
  });

  test('runs requests of unlike length together, and each gets its own rows', async () => {
    const words = WORDS.filter((word) => /^[a-z]+$/.test(word));
    const some = (count: number): string =>
      Array.from({ length: count }, (_, at) => words[at % words.length]).join(' ');
    const requests = Array.from({ length: 60 }, (_, at) => [some(1 + (at % 11)), ...(at % 3 === 0 ? [some(3)] : [])]);
    const before = await executions('tokens');
    const answers = await Promise.all(requests.map((each) => rowsOf('tokens', { text: texts(...each) }, 'input_ids')));
    for (const [at, each] of requests.entries()) {
      const rows = each.map((text) => [CLS, ...idsOf(text), SEP]);
      const length = Math.max(...rows.map((row) => row.length));
      expect(answers[at]).toEqual(rows.map((row) => [...row, ...Array<number>(length - row.length).fill(PAD)]));
    }
    expect((await executions('tokens')) - before).toBeLessThan(requests.length);
  });

  test('refuses only the request with the long text, whatever runs beside it', async () => {
    using caller = client();
    const asked = Array.from({ length: 30 }, (_, at) =>
      caller.infer('strict', { text: texts('the', at === 17 ? 'the capital of france is paris' : 'cat') }),
    );
    const settled = await Promise.allSettled(asked);
    expect(settled.flatMap(({ status }, at) => (status === 'rejected' ? [at] : []))).toEqual([17]);
    await expect(asked[17]).rejects.toThrow("element 1 of input 'text' has 8 tokens");
  });

  test('cuts the end of a long text, and keeps the special tokens', async () => {
    expect(await rowsOf('short', { text: texts('the capital of france is paris') }, 'input_ids')).toEqual([
      [CLS, ...idsOf('the capital of'), SEP],
    ]);
  });

  test('refuses a long text where it is configured so, and says how long it is', async () => {
    using caller = client();
    await expect(caller.infer('strict', { text: texts('the', 'the capital of france is paris') })).rejects.toThrow(
      "element 1 of input 'text' has 8 tokens, expected at most 5 (tensorgate.tokenizer.max_length)",
    );
  });

  test('refuses a text of more bytes than it takes, before it is tokenized', async () => {
    using caller = client();
    await expect(caller.infer('strict', { text: texts('the', 'é'.repeat(33)) })).rejects.toThrow(
      "element 1 of input 'text' for model 'strict' has 66 bytes, expected at most 64 (max_text_bytes)",
    );
  });

  test('reads special tokens in texts as such, unless it is configured otherwise', async () => {
    const inputs = { text: texts('cat [SEP] dog') };
    expect(await rowsOf('tokens', inputs, 'input_ids')).toEqual([[CLS, ...idsOf('cat [SEP] dog'), SEP]]);
    expect(await rowsOf('plain', inputs, 'input_ids')).toEqual([[CLS, ...idsOf('cat [ sep ] dog'), SEP]]);
  });

  test('joins pairs, in whose texts special tokens are none, and cuts the longer text', async () => {
    const inputs = { text: texts('the [SEP]'), text_pair: texts('the capital of france is paris') };
    expect(await rowsOf('pairs', inputs, 'input_ids')).toEqual([
      [CLS, ...idsOf('the [ sep'), SEP, ...idsOf('the capital of'), SEP],
    ]);
    expect(await rowsOf('pairs', inputs, 'token_type_ids')).toEqual([[0, 0, 0, 0, 0, 1, 1, 1, 1]]);
  });

  test('refuses pairs of unlike number', async () => {
    using caller = client();
    await expect(caller.infer('pairs', { text: texts('a', 'the'), text_pair: texts('a') })).rejects.toThrow(
      "input 'text_pair' batch size does not match other inputs for 'pairs'",
    );
  });

  test('refuses bytes that are not UTF-8', async () => {
    using caller = client();
    const broken = tensor.bytes([Buffer.from([0x63, 0xff])], [1]);
    await expect(caller.infer('tokens', { text: broken })).rejects.toThrow('not valid UTF-8');
  });

  test('is described in metadata, configuration and statistics', async () => {
    const metadata = await fixture.client.call('ModelMetadata', { name: 'tokens' });
    expect(metadata).toMatchObject({
      platform: 'tensorgate_tokenizer',
      inputs: [{ name: 'text', datatype: 'BYTES', shape: ['-1'] }],
      outputs: ['input_ids', 'attention_mask', 'token_type_ids'].map((name) => ({ name, shape: ['-1', '-1'] })),
    });
    const { config } = await fixture.client.call('ModelConfig', { name: 'tokens' });
    expect(config).toMatchObject({ platform: 'tensorgate_tokenizer', backend: '', max_batch_size: 1_024 });
    const { model_stats: stats } = await fixture.client.call('ModelStatistics', { name: 'tokens' });
    expect(
      Number((stats as { inference_stats: { success: { count: string } } }[])[0]?.inference_stats.success.count),
    ).toBeGreaterThan(0);
  });
});

describe('pooling', () => {
  const states = tensor.fp32(Float32Array.of(3, 0, 0, 1, 4, 0, 9, 9, 9), [1, 3, 3]);
  const attention_mask = tensor.int64(BigInt64Array.of(1n, 1n, 0n), [1, 3]);

  test('takes the mean of the tokens that the mask marks', async () => {
    using caller = client();
    const { outputs } = await caller.infer('mean', { last_hidden_state: states, attention_mask });
    expect(outputs.get('sentence_embedding')).toMatchObject({ shape: [1, 3], data: Float32Array.of(2, 2, 0) });
  });

  test('cuts the vector, and scales the rest to the length 1', async () => {
    using caller = client();
    const { outputs } = await caller.infer('cut', { last_hidden_state: states, attention_mask });
    const half = Math.fround(Math.SQRT1_2);
    expect(outputs.get('sentence_embedding')).toMatchObject({ shape: [1, 2], data: Float32Array.of(half, half) });
  });
});

test('labels give the likeliest classes with their scores', async () => {
  using caller = client();
  const logits = tensor.fp32(Float32Array.of(0, Math.log(3), 2, 2), [2, 2]);
  const { outputs } = await caller.infer('classes', { logits });
  expect(outputs.get('score')?.data).toEqual(Float32Array.of(0.75, 0.5));
  expect(outputs.get('label')?.strings()).toEqual(['yes', 'no']);
});

describe('a folder of sentence-transformers', () => {
  test('answers texts with vectors of the length 1', async () => {
    using caller = client();
    const { outputs } = await caller.infer('minilm', { text: texts('the cat sits .', 'paris') });
    const { shape, data } = outputs.get('sentence_embedding') ?? {};
    expect(shape).toEqual([2, 16]);
    const vector = [...(data as Float32Array)].slice(16);
    expect(Math.hypot(...vector)).toBeCloseTo(1, 5);
  });

  test('answers a text as its parts do one after the other', async () => {
    using caller = client();
    const text = texts('the river bank', 'a dog runs');
    const tokens = (await caller.infer('minilm:tokenizer', { text })).outputs;
    const ids = { input_ids: tokens.get('input_ids'), attention_mask: tokens.get('attention_mask') };
    const given = Object.fromEntries(
      Object.entries(ids).map(([name, each]) => [
        name,
        tensor.int64(each?.data as BigInt64Array, [...(each?.shape ?? [])]),
      ]),
    );
    const states = (await caller.infer('minilm:model', given)).outputs.get('last_hidden_state');
    const pooled = await caller.infer('minilm:pooling', {
      last_hidden_state: tensor.fp32(states?.data as Float32Array, [...(states?.shape ?? [])]),
      attention_mask: given['attention_mask'] as ReturnType<typeof tensor.int64>,
    });
    const whole = (await caller.infer('minilm', { text })).outputs.get('sentence_embedding')?.data as Float32Array;
    const apart = pooled.outputs.get('sentence_embedding')?.data as Float32Array;
    for (const [at, value] of whole.entries()) expect(value).toBeCloseTo(apart[at] ?? Number.NaN, 4);
  });

  test('gives a text the same vector beside any other', async () => {
    using caller = client();
    const vectorOf = async (...all: string[]) => {
      const { outputs } = await caller.infer('minilm', { text: texts(...all) });
      const data = outputs.get('sentence_embedding')?.data as Float32Array;
      return data.subarray(0, 16);
    };
    const alone = await vectorOf('paris');
    const beside = await vectorOf('paris', 'the capital of france is paris , is the city .');
    for (const [at, value] of alone.entries()) expect(beside[at]).toBeCloseTo(value, 5);
  });

  test('answers over REST', async () => {
    const response = await fetch(`${fixture.server.http}/v2/models/minilm/infer`, {
      method: 'POST',
      body: JSON.stringify({ inputs: [{ name: 'text', datatype: 'BYTES', shape: [1], data: ['the city'] }] }),
    });
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ outputs: [{ name: 'sentence_embedding', shape: [1, 16] }] });
  });

  test('shows its parts to REST clients', async () => {
    const response = await fetch(`${fixture.server.http}/v2/models/minilm:model`);
    expect(await response.json()).toMatchObject({ name: 'minilm:model', platform: 'onnxruntime_onnx' });
  });

  test('refuses 10 MB of text without tokenizing it', async () => {
    using caller = client();
    await caller.infer('minilm', { text: texts('warm') });
    const started = process.cpuUsage();
    await expect(caller.infer('minilm', { text: texts('a '.repeat(5_000_000)) })).rejects.toThrow(
      'expected at most 65536',
    );
    // Tokenizing takes seconds.
    expect(process.cpuUsage(started).user / 1_000).toBeLessThan(1_000);
  });

  test('loses no request when the runner of its tokenizer dies', async () => {
    using caller = client();
    const ask = () => caller.infer('minilm', { text: texts('the cat') });
    await ask();
    const pids = runnersNamed('minilm.tokenizer');
    expect(pids).toHaveLength(1);
    // Both directions share it.
    expect(runnersNamed('minilm:detokenizer')).toEqual([]);
    const answers = Array.from({ length: 200 }, ask);
    process.kill(pids[0] ?? 0, 'SIGKILL');
    const all = await Promise.allSettled([...answers, ...Array.from({ length: 50 }, ask)]);
    expect(all.filter(({ status }) => status === 'rejected')).toEqual([]);
    expect(runnersNamed('minilm.tokenizer')).not.toEqual(pids);
  });

  test('has no ensemble where a module is unknown, and says which; its other parts serve', async () => {
    const { models } = (await fixture.client.call('RepositoryIndex', {})) as {
      models: { name: string; state: string; reason: string }[];
    };
    const found = (name: string) => models.find((each) => each.name === name);
    expect(found('captions')?.reason).toContain('modules.json has the module Dense, which is not a step');
    expect(found('captions:tokenizer')?.state).toBe('READY');
  });
});

describe('a folder of Optimum', () => {
  test('answers texts with classes', async () => {
    using caller = client();
    const { outputs } = await caller.infer('feelings', { text: texts('cat') });
    expect(outputs.get('label')?.strings()).toEqual(['ids', 'marks']);
    const scores = outputs.get('score')?.data as Float32Array;
    expect(scores.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 5);
  });

  test('with one class scores pairs', async () => {
    using caller = client();
    const { outputs } = await caller.infer('reranker', { text: texts('cat', 'cat'), text_pair: texts('dog', 'paris') });
    expect(outputs.get('score')?.shape).toEqual([2, 1]);
    expect([...outputs.keys()]).toEqual(['score']);
  });
});

/** Processes of runners by the name of their model. */
function runnersNamed(name: string): number[] {
  return fs.readdirSync('/proc').flatMap((entry) => {
    if (!/^\d+$/.test(entry)) return [];
    try {
      const title = fs.readFileSync(path.join('/proc', entry, 'cmdline'), 'utf8');
      return title.includes(name) ? [Number(entry)] : [];
    } catch {
      return [];
    }
  });
}
