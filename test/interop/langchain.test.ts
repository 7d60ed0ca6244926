/** LangChain's `OpenAIEmbeddings` against `/v1/embeddings`, with the vectors of ModelInfer as the reference. */

import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { InferenceClient, tensor } from '../../src/client/inference-client.ts';
import { useServer } from '../support/server-fixture.ts';
import { exported, sentenceEncoder } from '../support/text-exports.ts';
import { langChainOpenAi } from '../tools/tools.ts';

const file = langChainOpenAi();

type Vector = readonly number[];

/** The parts of the class that are used. */
interface OpenAiEmbeddings {
  embedQuery(text: string): Promise<Vector>;
  embedDocuments(texts: readonly string[]): Promise<readonly Vector[]>;
}

type OpenAiEmbeddingsClass = new (fields: object) => OpenAiEmbeddings;

/** The parts of the body of a request that are read. */
interface Body {
  readonly input: string | readonly string[];
  readonly encoding_format: string;
}

const TEXTS = [
  'the cat sits',
  'paris',
  'a river',
  'the capital of france is paris',
  'a dog runs',
  'unknowns',
  'the city',
];
const WIDTH = 16;
const TOLERANCE = 1e-6;

/** The largest difference of two elements; `NaN` where the lengths differ. */
function distance(actual: Vector, expected: Vector): number {
  if (actual.length !== expected.length) return Number.NaN;
  return Math.max(...actual.map((value, at) => Math.abs(value - (expected[at] ?? Number.NaN))));
}

/** The first elements, scaled to the length 1. */
function shortened(vector: Vector, dimensions: number): Vector {
  const kept = vector.slice(0, dimensions);
  return kept.map((value) => value / Math.hypot(...kept));
}

describe.skipIf(file === undefined)("LangChain's embeddings", () => {
  if (file === undefined) return;
  const fixture = useServer({ minilm: exported(sentenceEncoder()) });

  /** @param bodies of all requests, in their order */
  async function embeddingsOf(fields: object = {}, bodies: Body[] = []): Promise<OpenAiEmbeddings> {
    const { OpenAIEmbeddings } = (await import(pathToFileURL(file as string).href)) as {
      OpenAIEmbeddings: OpenAiEmbeddingsClass;
    };
    const send = (input: string, init: RequestInit) => {
      bodies.push(JSON.parse(String(init.body)));
      return fetch(input, init);
    };
    const configuration = { baseURL: `${fixture.server.http}/v1`, fetch: send };
    return new OpenAIEmbeddings({ model: 'minilm', apiKey: 'none', configuration, ...fields });
  }

  /** The vectors that ModelInfer gives over gRPC. */
  async function references(): Promise<Vector[]> {
    using client = new InferenceClient(fixture.server.grpc);
    const { outputs } = await client.infer('minilm', { text: tensor.bytes(TEXTS, [TEXTS.length]) });
    const values = Array.from(outputs.get('sentence_embedding')?.data as Float32Array);
    const vectors = TEXTS.map((_, row) => values.slice(row * WIDTH, (row + 1) * WIDTH));
    // A wrong order has to show.
    expect(new Set(vectors.map(String)).size).toBe(TEXTS.length);
    return vectors;
  }

  async function expectReferences(vectors: readonly Vector[], dimensions?: number): Promise<void> {
    const full = await references();
    const expected = dimensions === undefined ? full : full.map((vector) => shortened(vector, dimensions));
    expect(vectors).toHaveLength(expected.length);
    for (const [row, vector] of vectors.entries()) {
      expect(distance(vector, expected[row] ?? []), TEXTS[row]).toBeLessThan(TOLERANCE);
    }
  }

  test.each(['base64', 'float'])('are the vectors of ModelInfer for queries, asked for as %s', async (encoding) => {
    const bodies: Body[] = [];
    // Without a format the client inside asks for Base64.
    const embeddings = await embeddingsOf(encoding === 'float' ? { encodingFormat: encoding } : {}, bodies);
    await expectReferences(await Promise.all(TEXTS.map((text) => embeddings.embedQuery(text))));
    expect(bodies.map(({ encoding_format }) => encoding_format)).toEqual(TEXTS.map(() => encoding));
  });

  test('are the vectors of ModelInfer for documents in several batches, in order', async () => {
    const bodies: Body[] = [];
    const embeddings = await embeddingsOf({ batchSize: 3 }, bodies);
    await expectReferences(await embeddings.embedDocuments(TEXTS));
    expect(bodies.map(({ input }) => input.length).toSorted()).toEqual([1, 3, 3]);
  });

  test('have the dimensions that are set, and the length 1', async () => {
    const embeddings = await embeddingsOf({ dimensions: 4 });
    const vectors = await embeddings.embedDocuments(TEXTS);
    await expectReferences(vectors, 4);
    expect(distance(await embeddings.embedQuery(TEXTS[0] ?? ''), vectors[0] ?? [])).toBeLessThan(TOLERANCE);
  });

  test('fail for an unknown model without a second request', async () => {
    const bodies: Body[] = [];
    const embeddings = await embeddingsOf({ model: 'nothing' }, bodies);
    await expect(embeddings.embedQuery('a')).rejects.toMatchObject({ status: 404, code: 'model_not_found' });
    expect(bodies).toHaveLength(1);
  });
});
