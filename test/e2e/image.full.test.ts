/** Images in, classes out, as clients see it: the step by itself, and a folder as exporters leave it. */

import { describe, expect, test } from 'vitest';
import { InferenceClient, tensor } from '../../src/client/inference-client.ts';
import { imageClassifier, imageOf, plainImage } from '../support/image-exports.ts';
import { randomBytes, randomFrom } from '../support/random.ts';
import { useServer } from '../support/server-fixture.ts';

const files = Object.entries(imageClassifier()).map(([name, content]) => {
  return [name, content instanceof Uint8Array ? content : JSON.stringify(content)] as const;
});

const fixture = useServer({
  colors: { versions: {}, files: Object.fromEntries(files) },
  pixels: {
    versions: { 1: undefined },
    config: {
      platform: 'tensorgate_image',
      tensorgate: { image: { datatype: 'UINT8', layout: 'NHWC', max_image_bytes: 2_000_000, max_pixels: 1_000_000 } },
    },
  },
});

const images = (...all: Uint8Array[]) => tensor.bytes(all, [all.length]);

async function post(path: string, body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) {
  const response = await fetch(`${fixture.server.http}${path}`, { method: 'POST', body, headers });
  return { status: response.status, response };
}

describe('a folder of an image classifier', () => {
  test('answers images with their classes', async () => {
    using client = new InferenceClient(fixture.server.grpc);
    const given = images(await plainImage('lime'), await plainImage('blue', 'jpeg', 300, 200));
    const { outputs } = await client.infer('colors', { image: given });
    const labels = outputs.get('label')?.strings() ?? [];
    expect([labels[0], labels[3]]).toEqual(['green', 'blue']);
    expect(outputs.get('score')?.shape).toEqual([2, 3]);
  });

  test('answers a file that is the whole body of a REST request', async () => {
    const image = new Uint8Array(await plainImage('red', 'webp'));
    const { status, response } = await post('/v2/models/colors/infer', image, {
      'inference-header-content-length': '0',
    });
    expect(status).toBe(200);
    expect(Buffer.from(await response.arrayBuffer()).toString('latin1')).toContain('red');
  });

  test('answers Base64 and data URIs in JSON', async () => {
    const base64 = (await plainImage('blue')).toString('base64');
    const data = [base64, `data:image/png;base64,${base64}`];
    const body = { inputs: [{ name: 'image', datatype: 'BYTES', shape: [2], data }] };
    const { response } = await post('/v2/models/colors/infer', JSON.stringify(body));
    const { outputs } = (await response.json()) as { outputs: { name: string; data: unknown[] }[] };
    const labels = outputs.find(({ name }) => name === 'label')?.data ?? [];
    expect([labels[0], labels[3]]).toEqual(['blue', 'blue']);
  });

  test('answers data URIs on the path for classes', async () => {
    const input = `data:image/png;base64,${(await plainImage('red')).toString('base64')}`;
    const { response } = await post('/v1/classify', JSON.stringify({ model: 'colors', input }));
    expect(await response.json()).toMatchObject({ data: [{ label: 'red' }], usage: { total_tokens: 0 } });
  });
});

describe('the step for images', () => {
  test('gives the pixels of a file of half a megabyte', async () => {
    using client = new InferenceClient(fixture.server.grpc);
    // Noise does not compress.
    const noise = [...randomBytes(400 * 400 * 3, randomFrom(1))];
    const image = await imageOf(400, noise);
    expect(image.length).toBeGreaterThan(256 * 1024);
    const { outputs } = await client.infer('pixels', { image: images(image) });
    expect(outputs.get('pixel_values')?.shape).toEqual([1, 400, 400, 3]);
    expect(Buffer.compare(Buffer.from(outputs.get('pixel_values')?.data as Uint8Array), Buffer.from(noise))).toBe(0);
  });

  test('refuses a file that is too long, in the gateway', async () => {
    using client = new InferenceClient(fixture.server.grpc);
    const long = client.infer('pixels', { image: images(new Uint8Array(2_000_001)) });
    await expect(long).rejects.toThrow('has 2000001 bytes, expected at most 2000000 (max_image_bytes)');
  });

  test('refuses an image with too many pixels, and a text', async () => {
    using client = new InferenceClient(fixture.server.grpc);
    const large = client.infer('pixels', { image: images(await plainImage('red', 'png', 2_000, 2_000)) });
    await expect(large).rejects.toThrow('2000 x 2000 pixels, expected at most 1000000 pixels');
    const text = client.infer('pixels', { image: tensor.bytes(['hello'], [1]) });
    await expect(text).rejects.toThrow('is no image');
  });
});
