/** OpenAI's own client for Node against `/v1/embeddings` and `/v1/models`. */

import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { useServer } from '../support/server-fixture.ts';
import { exported, sentenceEncoder } from '../support/text-exports.ts';
import { openAiClient } from '../tools/tools.ts';

const file = openAiClient();

/** The parts of the client that are used. */
interface OpenAi {
  readonly embeddings: {
    create(body: object): Promise<{
      readonly data: readonly { readonly index: number; readonly embedding: readonly number[] }[];
      readonly usage: object;
    }>;
  };
  readonly models: { list(): Promise<{ readonly data: readonly { readonly id: string }[] }> };
}

type OpenAiClass = new (options: object) => OpenAi;

describe.skipIf(file === undefined)("OpenAI's client", () => {
  if (file === undefined) return;
  const fixture = useServer(
    { minilm: exported(sentenceEncoder()) },
    {
      flags: [
        ...['--log-level', 'error', '--tenant-key', 'x-tenant', '--tenant-rate', '1000', '--tenant-burst', '1000'],
        ...['--tenant-weights', 'slow=0.001'],
      ],
    },
  );

  /** @param statuses of all answers, in their order */
  async function clientOf(statuses: number[] = [], headers: Record<string, string> = {}): Promise<OpenAi> {
    const { default: Client } = (await import(pathToFileURL(file as string).href)) as { default: OpenAiClass };
    return new Client({
      baseURL: `${fixture.server.http}/v1`,
      apiKey: 'none',
      defaultHeaders: headers,
      fetch: async (...request: Parameters<typeof fetch>) => {
        const response = await fetch(...request);
        statuses.push(response.status);
        return response;
      },
    });
  }

  test('gets the same vectors as Base64, which it asks for by itself, and as numbers', async () => {
    const client = await clientOf();
    const input = ['the cat', 'paris'];
    const own = await client.embeddings.create({ model: 'minilm', input });
    const numbers = await client.embeddings.create({ model: 'minilm', input, encoding_format: 'float' });
    expect(own.data.map(({ index }) => index)).toEqual([0, 1]);
    expect(own.usage).toEqual(numbers.usage);
    for (const [row, { embedding }] of own.data.entries()) {
      expect(embedding).toHaveLength(16);
      expect(Float32Array.from(embedding)).toEqual(Float32Array.from(numbers.data[row]?.embedding ?? []));
    }
  });

  test('gets shorter vectors of the length 1, and vectors of token ids', async () => {
    const client = await clientOf();
    const { data } = await client.embeddings.create({ model: 'minilm', input: [[2, 14, 3]], dimensions: 4 });
    const [{ embedding } = { embedding: [] }] = data;
    expect(embedding).toHaveLength(4);
    expect(Math.hypot(...embedding)).toBeCloseTo(1, 5);
  });

  test('throws errors with the status, the code and the field', async () => {
    const client = await clientOf();
    const unknown = client.embeddings.create({ model: 'nothing', input: 'a' });
    await expect(unknown).rejects.toMatchObject({ status: 404, code: 'model_not_found', type: 'not_found_error' });
    const empty = client.embeddings.create({ model: 'minilm', input: [] });
    await expect(empty).rejects.toMatchObject({ status: 400, code: 'invalid_request', param: 'input' });
  });

  test('tries again after the time that an overloaded server names', async () => {
    const statuses: number[] = [];
    const client = await clientOf(statuses, { 'x-tenant': 'slow' });
    for (let count = 0; !statuses.includes(429); count++) {
      expect(count).toBeLessThan(20);
      await client.embeddings.create({ model: 'minilm', input: 'cat' });
    }
    expect(statuses.at(-1)).toBe(200);
  });

  test('lists the models', async () => {
    const { data } = await (await clientOf()).models.list();
    expect(data.map(({ id }) => id)).toContain('minilm');
  });
});
