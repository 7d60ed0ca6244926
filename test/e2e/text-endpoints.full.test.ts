/** The paths for texts on the HTTP port, as clients of OpenAI and of other text servers call them. */

import { describe, expect, test } from 'vitest';
import { InferenceClient, tensor } from '../../src/client/inference-client.ts';
import { head, RawConnection } from '../gateway/accept/http/raw-http.ts';
import { identityModel } from '../support/onnx-models.ts';
import { useServer } from '../support/server-fixture.ts';
import { exported, idsOf, sentenceEncoder, textClassifier, WORDS } from '../support/text-exports.ts';

const fixture = useServer({
  minilm: exported(sentenceEncoder()),
  feelings: exported(textClassifier(2)),
  reranker: exported(textClassifier(1)),
  numbers: identityModel('FP32'),
  again: {
    versions: { 1: undefined },
    config: {
      platform: 'ensemble',
      input: [{ name: 'input_ids', data_type: 'TYPE_INT64', dims: [-1] }],
      output: [{ name: 'again', data_type: 'TYPE_INT64', dims: [-1, -1] }],
      ensemble_scheduling: {
        step: [
          { model_name: 'minilm:detokenizer', input_map: { input_ids: 'input_ids' }, output_map: { text: 'text' } },
          { model_name: 'minilm:tokenizer', input_map: { text: 'text' }, output_map: { input_ids: 'again' } },
        ],
      },
    },
  },
});

interface Answer {
  readonly code: number;
  readonly headers: Headers;
  readonly json: unknown;
}

async function call(path: string, body?: object): Promise<Answer> {
  const response = await fetch(`${fixture.server.http}${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  return { code: response.status, headers: response.headers, json: await response.json() };
}

interface Embeddings {
  readonly data: readonly { readonly index: number; readonly embedding: readonly number[] | string }[];
  readonly usage: { readonly prompt_tokens: number; readonly total_tokens: number };
}

async function embed(body: object): Promise<Embeddings> {
  const { code, json } = await call('/v1/embeddings', { model: 'minilm', ...body });
  expect([code, json]).toEqual([200, json]);
  return json as Embeddings;
}

/** The vector that ModelInfer gives. */
async function vectorOf(text: string): Promise<readonly number[]> {
  using client = new InferenceClient(fixture.server.grpc);
  const { outputs } = await client.infer('minilm', { text: tensor.bytes([text], [1]) });
  return Array.from(outputs.get('sentence_embedding')?.data as Float32Array);
}

function decoded(embedding: unknown): readonly number[] {
  const bytes = Uint8Array.from(Buffer.from(String(embedding), 'base64'));
  return [...new Float32Array(bytes.buffer)];
}

const [CLS, SEP] = [WORDS.indexOf('[CLS]'), WORDS.indexOf('[SEP]')];
const idsWithSpecials = (text: string): readonly number[] => [CLS, ...idsOf(text), SEP];

describe('/v1/embeddings', () => {
  test('gives for one text the vector of ModelInfer, and counts its tokens', async () => {
    const { data, usage, ...rest } = await embed({ input: 'the cat sits', user: 'someone' });
    expect(rest).toEqual({ object: 'list', model: 'minilm' });
    expect(data).toEqual([{ object: 'embedding', index: 0, embedding: expect.any(Array) }]);
    const wanted = await vectorOf('the cat sits');
    const [first] = data;
    expect(Float32Array.from(first?.embedding as readonly number[])).toEqual(Float32Array.from(wanted));
    expect(usage).toEqual({ prompt_tokens: 5, total_tokens: 5 });
  });

  test('runs the tokenizer once for a text', async () => {
    const runs = async (): Promise<number> => {
      const response = await fetch(`${fixture.server.http}/v2/models/minilm:tokenizer/stats`);
      const { model_stats: stats } = (await response.json()) as { model_stats: { inference_count: number }[] };
      return stats[0]?.inference_count ?? 0;
    };
    const before = await runs();
    await embed({ input: ['the cat', 'a dog'] });
    expect(await runs()).toBe(before + 2);
  });

  test('gives for a list a vector of each text, in order, and for more texts than it asks at a time', async () => {
    const texts = Array.from({ length: 70 }, (_, index) => (index % 2 === 0 ? 'the cat' : 'a river of paris'));
    const { data, usage } = await embed({ input: texts });
    expect(data.map(({ index }) => index)).toEqual(texts.map((_, index) => index));
    expect(usage.prompt_tokens).toBe(35 * 4 + 35 * 6);
    const [cat, river] = [await vectorOf('the cat'), await vectorOf('a river of paris')];
    for (const { index, embedding } of data) {
      const wanted = index % 2 === 0 ? cat : river;
      for (const [at, value] of (embedding as readonly number[]).entries())
        expect(value).toBeCloseTo(wanted[at] ?? 9, 5);
    }
  });

  test('takes token ids, one list or several, and gives the vectors of their texts', async () => {
    const ids = idsWithSpecials('the cat sits');
    const one = await embed({ input: ids, encoding_format: 'base64' });
    expect(decoded(one.data[0]?.embedding)).toEqual(await vectorOf('the cat sits'));
    expect(one.usage.total_tokens).toBe(5);
    const two = await embed({ input: [ids, idsWithSpecials('a dog')], encoding_format: 'base64' });
    expect(decoded(two.data[1]?.embedding)).toEqual(await vectorOf('a dog'));
  });

  test('gives Base64 of FP32 where that is asked for', async () => {
    const { data } = await embed({ input: 'a dog runs', encoding_format: 'base64' });
    expect(decoded(data[0]?.embedding)).toEqual(await vectorOf('a dog runs'));
  });

  test('cuts vectors to the dimensions asked for, and scales them to the length 1', async () => {
    const { data } = await embed({ input: 'a dog runs', dimensions: 4 });
    const vector = data[0]?.embedding as readonly number[];
    const whole = (await vectorOf('a dog runs')).slice(0, 4);
    const norm = Math.hypot(...whole);
    expect(vector).toHaveLength(4);
    for (const [at, value] of vector.entries()) expect(value).toBeCloseTo((whole[at] ?? 9) / norm, 5);
  });

  test('makes of each text a request of its own', async () => {
    const countOf = async (): Promise<number> => {
      const { json } = await call('/v2/models/minilm/stats');
      const { model_stats: stats } = json as { model_stats: { inference_stats: { success: { count: number } } }[] };
      return stats[0]?.inference_stats.success.count ?? 0;
    };
    const before = await countOf();
    await embed({ input: ['the cat', 'the dog', 'a river'] });
    expect(await countOf()).toBe(before + 3);
  });

  test.each([
    [{}, 'input', "'input' is missing, expected a string, an array of strings, or token ids"],
    [{ input: [] }, 'input', "'input' is an empty array, expected at least one text"],
    [{ input: ['a', 7] }, 'input[1]', "'input[1]' is 7, expected a string"],
    [{ input: [[]] }, 'input[0]', "'input[0]' is an empty array, expected at least one token id"],
    [{ input: [1, -1] }, 'input[1]', "'input[1]' is -1, expected a token id from 0 to 2147483647"],
    [{ input: '\ud800' }, 'input', "'input' is a string with half of a surrogate pair, expected Unicode"],
    [{ input: 'a', encoding_format: 'hex' }, 'encoding_format', "expected 'float' or 'base64'"],
    [{ input: 'a', dimensions: 0 }, 'dimensions', "'dimensions' is 0, expected a positive whole number"],
    [
      { input: 'a', dimensions: 17 },
      'dimensions',
      "'dimensions' is 17, expected at most 16, the width of model 'minilm'",
    ],
    [{ input: 'a', model: 'numbers' }, 'model', "model 'numbers' takes no texts: its input 'input' is TYPE_FP32"],
    [{ input: 'a', model: 'feelings' }, 'model', "model 'feelings' gives no embeddings"],
    [{ input: 'a', model: 7 }, 'model', "'model' is 7, expected a string"],
  ])('refuses %j, and names %s', async (body, param, message) => {
    expect(await call('/v1/embeddings', { model: 'minilm', ...body })).toMatchObject({
      code: 400,
      json: {
        error: {
          message: expect.stringContaining(message),
          type: 'invalid_request_error',
          param,
          code: 'invalid_request',
        },
      },
    });
  });

  test('answers 404 in the shape of OpenAI for a model that does not exist', async () => {
    const { code, json } = await call('/v1/embeddings', { model: 'nope', input: 'a' });
    expect([code, json]).toMatchObject([404, { error: { type: 'not_found_error', code: 'model_not_found' } }]);
  });

  test('refuses a text of 10 MB by its head, before it has come', async () => {
    using connection = await RawConnection.open(fixture.server.httpPort);
    connection.send(head('POST', '/v1/embeddings', { 'content-length': 10_000_000 }));
    expect(await connection.answers(1)).toEqual([413]);
    expect(connection.received).toContain('the body is longer than 4194304 bytes');
  });
});

describe('/tokenize', () => {
  test('gives the ids of a text, and how many they are', async () => {
    const { code, json } = await call('/tokenize', { model: 'minilm', input: 'the cat sits' });
    expect([code, json]).toEqual([200, { tokens: idsWithSpecials('the cat sits'), count: 5 }]);
  });

  test('gives lists for a list, also for the tokenizer by its own name', async () => {
    const { json } = await call('/tokenize', { model: 'minilm:tokenizer', input: ['the cat', 'a'] });
    expect(json).toEqual({ tokens: [idsWithSpecials('the cat'), idsWithSpecials('a')], count: [4, 3] });
  });

  test('refuses a model without a tokenizer, and an empty list', async () => {
    expect(await call('/tokenize', { model: 'minilm:labels', input: 'a' })).toMatchObject({ code: 404 });
    expect(await call('/tokenize', { model: 'minilm', input: [] })).toMatchObject({
      code: 400,
      json: { error: { param: 'input' } },
    });
  });
});

describe('/detokenize', () => {
  const range = `expected the id of a token, from 0 to ${WORDS.length - 1}`;

  test('gives the text of ids without special tokens, or with them', async () => {
    const body = { model: 'minilm', tokens: idsWithSpecials('the dog ##s , paris .') };
    expect(await call('/detokenize', body)).toMatchObject({ code: 200, json: { text: 'the dogs, paris.' } });
    expect((await call('/detokenize', { ...body, skip_special_tokens: false })).json).toEqual({
      text: '[CLS] the dogs, paris. [SEP]',
    });
  });

  test.each(['minilm', 'minilm:tokenizer', 'minilm:detokenizer', 'reranker', 'again'])(
    'gives the texts of lists, in order, for %s',
    async (model) => {
      const tokens = [idsWithSpecials('the cat'), idsWithSpecials('a river')];
      const { code, json } = await call('/detokenize', { model, tokens });
      expect([code, json]).toEqual([200, { texts: ['the cat', 'a river'] }]);
    },
  );

  test.each([
    [{}, 'tokens', "'tokens' is missing, expected an array of token ids, or an array of such arrays"],
    [{ tokens: [] }, 'tokens', "'tokens' is an empty array, expected at least one token id"],
    [{ tokens: [1, 'a'] }, 'tokens[1]', `'tokens[1]' is "a", expected a token id from 0 to 2147483647`],
    [{ tokens: [1, -1] }, 'tokens[1]', "'tokens[1]' is -1, expected a token id from 0 to 2147483647"],
    [{ tokens: [[1], 2] }, 'tokens[1]', "'tokens[1]' is 2, expected an array of token ids"],
    [{ tokens: [1], skip_special_tokens: 'no' }, 'skip_special_tokens', 'expected true or false'],
    [{ tokens: [1], model: 'numbers' }, 'model', "model 'numbers' has no detokenizer"],
  ])('refuses %j, and names %s', async (body, param, message) => {
    expect(await call('/detokenize', { model: 'minilm', ...body })).toMatchObject({
      code: 400,
      json: { error: { message: expect.stringContaining(message), param, code: 'invalid_request' } },
    });
  });

  test('refuses an id beyond the vocabulary, and names its list, its place and the range', async () => {
    expect(await call('/detokenize', { model: 'minilm', tokens: [[5], [5, 99]] })).toMatchObject({
      code: 400,
      json: {
        error: {
          message: expect.stringContaining(`element 1 of input 'input_ids' is 99, ${range}`),
          param: 'tokens[1]',
          code: 'invalid_data',
        },
      },
    });
  });

  test('is a model: over gRPC, where the flag may be left out, and in an ensemble', async () => {
    using client = new InferenceClient(fixture.server.grpc);
    const ids = tensor.int64(idsWithSpecials('the dog ##s').map(BigInt), [5]);
    const { outputs } = await client.infer('minilm:detokenizer', { input_ids: ids });
    const [text] = (outputs.get('text') as { data: readonly Uint8Array[] }).data;
    expect(Buffer.from(text ?? []).toString()).toBe('the dogs');
    const again = await client.infer('again', { input_ids: ids });
    const { data } = again.outputs.get('again') as { data: BigInt64Array };
    expect([...data].map(Number)).toEqual(idsWithSpecials('the dog ##s'));
    const negative = tensor.int64([-2n], [1]);
    await expect(client.infer('minilm:detokenizer', { input_ids: negative })).rejects.toMatchObject({
      status: 'INVALID_ARGUMENT',
      message: expect.stringContaining(`element 0 of input 'input_ids' is -2, ${range}`),
    });
  });
});

describe('/v1/models', () => {
  test('lists the models that are ready', async () => {
    const { code, json } = await call('/v1/models');
    const { object, data } = json as { object: string; data: { id: string }[] };
    expect([code, object]).toEqual([200, 'list']);
    expect(data.map(({ id }) => id)).toEqual(expect.arrayContaining(['minilm', 'minilm:tokenizer', 'numbers']));
    expect(data[0]).toMatchObject({ object: 'model', created: expect.any(Number), owned_by: 'tensorgate' });
  });

  test('gives one by its name, and 404 for one that does not exist', async () => {
    expect(await call('/v1/models/minilm')).toMatchObject({ code: 200, json: { id: 'minilm' } });
    expect(await call('/v1/models/nope')).toMatchObject({ code: 404, json: { error: { code: 'model_not_found' } } });
  });
});

describe('/v1/rerank', () => {
  const documents = ['the cat', 'paris is a city', { text: 'the the' }];

  test('gives the scores of ModelInfer, the best first, as many as are asked for', async () => {
    using client = new InferenceClient(fixture.server.grpc);
    const texts = ['the cat', 'paris is a city', 'the the'];
    const { outputs } = await client.infer('reranker', {
      text: tensor.bytes(['a dog', 'a dog', 'a dog'], [3]),
      text_pair: tensor.bytes(texts, [3]),
    });
    const scores = Array.from(outputs.get('score')?.data as Float32Array);
    const wanted = scores.map((relevance_score, index) => ({ index, relevance_score }));
    wanted.sort((a, b) => b.relevance_score - a.relevance_score || a.index - b.index);
    const body = { model: 'reranker', query: 'a dog', documents };
    const { code, json } = await call('/v1/rerank', body);
    expect([code, json]).toMatchObject([200, { model: 'reranker', results: wanted }]);
    expect(json).toMatchObject({ usage: { total_tokens: 3 * 5 + 2 + 4 + 2 } });
    const { json: best } = await call('/v1/rerank', { ...body, top_n: 1, return_documents: true });
    const [first] = wanted;
    expect(best).toMatchObject({ results: [{ ...first, document: { text: texts[first?.index ?? 9] } }] });
    expect((best as { results: unknown[] }).results).toHaveLength(1);
  });

  test.each([
    [{ documents: [] }, 'documents'],
    [{ documents: ['a', 7] }, 'documents[1]'],
    [{ query: undefined }, 'query'],
    [{ top_n: 0 }, 'top_n'],
    [{ model: 'minilm' }, 'model'],
  ])('refuses %j, and names %s', async (body, param) => {
    const answer = await call('/v1/rerank', { model: 'reranker', query: 'a', documents: ['the'], ...body });
    expect(answer).toMatchObject({ code: 400, json: { error: { param, code: 'invalid_request' } } });
  });
});

describe('/v1/classify', () => {
  test('gives the classes of each text, the likeliest first', async () => {
    const { code, json } = await call('/v1/classify', { model: 'feelings', input: ['the cat', 'a'] });
    expect([code, json]).toMatchObject([200, { object: 'list', model: 'feelings', usage: { total_tokens: 7 } }]);
    const { data } = json as { data: { index: number; label: string; classes: { label: string; score: number }[] }[] };
    expect(data.map(({ index, label }) => [index, label])).toEqual([
      [0, 'ids'],
      [1, 'ids'],
    ]);
    for (const { classes } of data) {
      expect(classes.map(({ label }) => label)).toEqual(['ids', 'marks']);
      expect((classes[0]?.score ?? 0) + (classes[1]?.score ?? 0)).toBeCloseTo(1, 5);
    }
  });

  test('refuses a model that gives vectors', async () => {
    expect(await call('/v1/classify', { model: 'minilm', input: 'a' })).toMatchObject({
      code: 400,
      json: { error: { param: 'model', message: expect.stringContaining("model 'minilm' gives no classes") } },
    });
  });
});
