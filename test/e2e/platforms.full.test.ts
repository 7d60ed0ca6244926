/** The paths of hosting platforms: SageMaker's, and those that Vertex AI chooses. */

import { describe, expect, test } from 'vitest';
import { InferenceClient, tensor } from '../../src/client/inference-client.ts';
import { imageClassifier, plainImage } from '../support/image-exports.ts';
import { identityModel, sumModel } from '../support/onnx-models.ts';
import { useServer } from '../support/server-fixture.ts';
import { exported, sentenceEncoder, textClassifier } from '../support/text-exports.ts';

const HEALTH = '/v1/endpoints/7/deployedModels/8';
const PREDICT = `${HEALTH}:predict`;

const fixture = useServer(
  {
    minilm: exported(sentenceEncoder()),
    feelings: exported(textClassifier(2)),
    reranker: exported(textClassifier(1)),
    colors: exported(imageClassifier()),
    sum: sumModel(),
    same: identityModel('FP32', ['batch', 1]),
  },
  { flags: ['--log-level', 'error'], env: { AIP_HEALTH_ROUTE: HEALTH, AIP_PREDICT_ROUTE: PREDICT } },
);

async function post(path: string, body: object, headers: Record<string, string> = {}) {
  const response = await fetch(`${fixture.server.http}${path}`, {
    method: 'POST',
    body: JSON.stringify(body),
    headers,
  });
  const json: unknown = await response.json();
  return { code: response.status, json };
}

const target = (model: string) => ({ 'x-amzn-sagemaker-target-model': model });
const invoke = (model: string, body: object) => post('/invocations', body, target(model));
const predict = (model: string, instances: readonly unknown[]) => post(PREDICT, { instances, parameters: { model } });

async function vectorOf(text: string): Promise<number[]> {
  using client = new InferenceClient(fixture.server.grpc);
  const { outputs } = await client.infer('minilm', { text: tensor.bytes([text], [1]) });
  const { data } = outputs.get('sentence_embedding') ?? {};
  return [...(data as Float32Array)];
}

test.each(['/ping', HEALTH])('%s says that the server is ready', async (path) => {
  const response = await fetch(`${fixture.server.http}${path}`);
  expect([response.status, await response.json()]).toEqual([200, { ready: true }]);
});

describe('/invocations', () => {
  test('gives the vectors of texts', async () => {
    const { code, json } = await invoke('minilm', { inputs: ['the cat', 'paris'] });
    expect(code).toBe(200);
    const [first] = json as number[][];
    expect(Float32Array.from(first ?? [])).toEqual(Float32Array.from(await vectorOf('the cat')));
    expect(json).toHaveLength(2);
  });

  test('gives the classes of a text, and of each text of a list', async () => {
    const one = await invoke('feelings.tar.gz', { inputs: 'cat' });
    expect(one.json).toEqual([
      { label: 'ids', score: expect.any(Number) },
      { label: 'marks', score: expect.any(Number) },
    ]);
    expect((await invoke('feelings', { inputs: ['cat'] })).json).toEqual([one.json]);
  });

  test('ranks texts by a query', async () => {
    const { json } = await invoke('reranker', { query: 'cat', texts: ['dog', 'a', 'paris'] });
    const ranked = json as { index: number; score: number }[];
    expect(ranked.map(({ index }) => index).sort()).toEqual([0, 1, 2]);
    expect(ranked.map(({ score }) => score)).toEqual(ranked.map(({ score }) => score).toSorted((a, b) => b - a));
  });

  test('answers as OpenAI, and rows as TensorFlow Serving', async () => {
    expect((await invoke('minilm', { input: 'cat' })).json).toMatchObject({ object: 'list', model: 'minilm' });
    expect((await post('/invocations', { model: 'same', instances: [[1], [2.5]] })).json).toEqual({
      predictions: [[1], [2.5]],
    });
  });

  test('answers tensors of the Open Inference Protocol', async () => {
    const text = { name: 'text', datatype: 'BYTES', shape: [1], data: ['cat'] };
    expect((await invoke('feelings', { inputs: [text] })).json).toMatchObject({
      model_name: 'feelings',
      outputs: [
        { name: 'label', datatype: 'BYTES', shape: [1, 2], data: ['ids', 'marks'] },
        { name: 'score', datatype: 'FP32', shape: [1, 2] },
      ],
    });
    const short = { name: 'input', datatype: 'FP32', shape: [2, 1], data: [1] };
    const { code, json } = await invoke('same', { inputs: [short] });
    expect(code).toBe(400);
    expect(JSON.stringify(json)).toContain("'data' of input 'input': ");
  });

  test('asks for the name of a model where several are ready', async () => {
    const { code, json } = await post('/invocations', { inputs: 'cat' });
    expect(code).toBe(400);
    expect(JSON.stringify(json)).toContain(
      '6 models are ready (colors, feelings, minilm, reranker, same, …): name one in',
    );
  });

  test('names the field that is missing, and the model that is wrong', async () => {
    expect(JSON.stringify((await invoke('minilm', {})).json)).toContain('the body has none of');
    expect((await invoke('nothing', { inputs: 'cat' })).code).toBe(404);
    expect((await invoke('same', { inputs: 'cat' })).code).toBe(400);
  });
});

describe('the path of Vertex AI', () => {
  test('gives for each row a prediction, named where there are several inputs', async () => {
    expect(
      (
        await predict('sum', [
          { a: [1, 2], b: [10, 20] },
          { a: [3, 4], b: [0, 0.5] },
        ])
      ).json,
    ).toEqual({
      predictions: [
        { sum: [11, 22], difference: [-9, -18] },
        { sum: [3, 4.5], difference: [3, 3.5] },
      ],
    });
  });

  test('takes texts, and bytes in Base64', async () => {
    const { json } = await predict('feelings', ['cat', { text: 'dog' }]);
    expect(json).toEqual({ predictions: [0, 1].map(() => ({ label: ['ids', 'marks'], score: expect.any(Array) })) });
    const b64 = (await plainImage('lime')).toString('base64');
    expect((await predict('colors', [{ b64 }, { image: { b64 } }])).json).toMatchObject({
      predictions: [{ label: ['green', 'red', 'blue'] }, { label: ['green', 'red', 'blue'] }],
    });
  });

  test.each([
    ['no rows', undefined, "'instances' is missing, expected an array of rows"],
    ['none', [], "'instances' is an empty array"],
    ['rows of unlike length', [[1], [1, 2]], "rows of input 'input' are not FP32 [2,1], the shape of the first"],
    ['a text in place of a number', [['a']], "rows of input 'input' are not FP32"],
  ])('refuses %s', async (_, instances, reason) => {
    const { code, json } = await post(PREDICT, { instances, parameters: { model: 'same' } });
    expect(code).toBe(400);
    expect(JSON.stringify(json)).toContain(JSON.stringify(reason).slice(1, -1));
  });

  test('names the input that a row lacks', async () => {
    const { json } = await predict('sum', [{ a: [1, 2] }]);
    expect(JSON.stringify(json)).toContain("'instances[0]' is an object, expected an object with a, b");
  });
});
