import { describe, expect, test } from 'vitest';
import { readLoadBody } from '../../../../src/gateway/accept/rest/load-body.ts';

/** Bytes without two equal neighbouring pieces. */
const FILE = Buffer.from(Array.from({ length: 1_000_001 }, (_, index) => (index * 31 + (index >> 8)) % 256));
const FILE_TEXT = FILE.toString('base64');

async function fileOf(json: string): Promise<Buffer> {
  const { parameters } = (await readLoadBody(Buffer.from(json))) as { readonly parameters: Record<string, Uint8Array> };
  return Buffer.from(parameters['file:1/a'] ?? []);
}

describe('a file of a load over REST', () => {
  test.each([
    { name: 'of Base64', text: FILE_TEXT },
    { name: 'of URL-safe Base64 without padding', text: FILE.toString('base64url') },
    { name: 'with slashes behind backslashes', text: FILE_TEXT.replaceAll('/', '\\/') },
    { name: 'in lines', text: FILE_TEXT.replace(/.{76}/g, '$&\\n') },
    { name: 'in lines that end with two characters', text: FILE_TEXT.replace(/.{64}/g, '$&\\r\\n') },
  ])('$name is read to the byte', async ({ text }) => {
    expect((await fileOf(`{"parameters": {"config": "{}", "file:1/a": "${text}"}}`)).equals(FILE)).toBe(true);
  });

  test.each([0, 1, 2, 3, 4, 5])('with %i bytes is read', async (bytes) => {
    const file = FILE.subarray(0, bytes);
    expect((await fileOf(`{"parameters":{"file:1/a":"${file.toString('base64')}"}}`)).equals(file)).toBe(true);
  });
});

test('a body without a file is read as any JSON', async () => {
  const body = Buffer.from('{"parameters": {"config": "{\\"a\\": 1}", "file:1/a": 7}, "other": [null]}');
  expect(await readLoadBody(body)).toEqual({ parameters: { config: '{"a": 1}', 'file:1/a': 7 }, other: [null] });
  expect(await readLoadBody(Buffer.alloc(0))).toEqual({});
});

test.each([
  {
    name: 'a configuration that is too long',
    json: `{"parameters":{"config":"${'a'.repeat(3 * 2 ** 20)}"}}`,
    reason: 'limit_exceeded',
  },
  { name: 'many parameters', json: `{"parameters":{${'"":"",'.repeat(10_000)}"a":""}}`, reason: 'limit_exceeded' },
  { name: 'a file with a quote in it', json: '{"parameters":{"file:1/a":"ab\\"cd"}}', reason: 'invalid_request' },
  { name: 'a file without an end', json: '{"parameters":{"file:1/a":"abcd', reason: 'invalid_request' },
  { name: 'a list', json: '[]', reason: 'invalid_request' },
])('$name is refused with $reason', async ({ json, reason }) => {
  await expect(readLoadBody(Buffer.from(json))).rejects.toMatchObject({ reason });
});
