import { describe, expect, test } from 'vitest';
import { parseInferRequest } from '../../../../src/gateway/accept/rest/infer-json.ts';
import { type ReadRequest, RepeatedHeads, readRequestOf } from '../../../../src/gateway/accept/rest/repeated-heads.ts';
import { Slices } from '../../../../src/gateway/accept/slices.ts';

const PATH = '/v2/models/m/infer';

function head(...inputs: readonly object[]): Buffer {
  return Buffer.from(JSON.stringify({ id: 'r1', inputs, parameters: { binary_data_output: true } }));
}

function input(name: string, bytes: number): object {
  return { name, datatype: 'UINT8', shape: [bytes], parameters: { binary_data_size: bytes } };
}

function parsed(body: Buffer, headerLength: number): ReturnType<typeof parseInferRequest> {
  const bounds = { slices: new Slices(), charge: { take() {} }, maxJsonBytes: 65_536, maxTensorBytes: 65_536 };
  return parseInferRequest({ name: 'm', version: '' }, body, bounds, headerLength);
}

async function remembering(json: Buffer, ...tensors: readonly string[]): Promise<RepeatedHeads> {
  const heads = new RepeatedHeads();
  const body = Buffer.concat([json, Buffer.from(tensors.join(''))]);
  heads.add(PATH, body, json.byteLength, await parsed(body, json.byteLength));
  return heads;
}

describe('JSON before binary tensors that comes again', () => {
  const json = head(input('a', 2), input('b', 3));

  test('means the same, and its tensors are views of the body that it came in', async () => {
    const heads = await remembering(json, 'xx', 'yyy');
    const body = Buffer.concat([json, Buffer.from('12345')]);
    const found = heads.find(PATH, body, json.byteLength) as ReadRequest;
    const expected = readRequestOf(await parsed(body, json.byteLength));
    expect(Buffer.from(found.wire)).toEqual(expected.wire);
    expect(found.binary).toEqual(expected.binary);
    expect(found.tensors.map((tensor) => Buffer.from(tensor).toString())).toEqual(['12', '345']);
    expect(found.tensors.every(({ buffer }) => buffer === body.buffer)).toBe(true);
  });

  test('is read where one byte of it is another', async () => {
    const heads = await remembering(json, 'xx', 'yyy');
    const other = Buffer.from(json.toString().replace('"r1"', '"r2"'));
    expect(heads.find(PATH, Buffer.concat([other, Buffer.from('12345')]), other.byteLength)).toBeUndefined();
  });

  test('is read where another path has it, or another number of bytes follows it', async () => {
    const heads = await remembering(json, 'xx', 'yyy');
    const body = Buffer.concat([json, Buffer.from('12345')]);
    expect(heads.find('/v2/models/n/infer', body, json.byteLength)).toBeUndefined();
    expect(heads.find(PATH, body.subarray(0, -1), json.byteLength)).toBeUndefined();
    expect(heads.find(PATH, Buffer.concat([body, Buffer.from('6')]), json.byteLength)).toBeUndefined();
  });

  test('is read where a tensor is part of it', async () => {
    const mixed = head(input('a', 2), { name: 'b', datatype: 'UINT8', shape: [1], data: [7] });
    const heads = await remembering(mixed, 'xx');
    const body = Buffer.concat([mixed, Buffer.from('12')]);
    expect(heads.find(PATH, body, mixed.byteLength)).toBeUndefined();
  });

  test('is not held for long: of many, only some are remembered', async () => {
    const heads = new RepeatedHeads();
    let remembered = 0;
    const jsons = Array.from({ length: 1_000 }, (_, index) => head(input(`a${index + 1_000}`, 1)));
    for (const [index, each] of jsons.entries()) {
      const body = Buffer.concat([each, Buffer.from('x')]);
      heads.add(`${PATH}/${index}`, body, each.byteLength, await parsed(body, each.byteLength));
    }
    for (const [index, each] of jsons.entries()) {
      const body = Buffer.concat([each, Buffer.from('x')]);
      if (heads.find(`${PATH}/${index}`, body, each.byteLength) !== undefined) remembered++;
    }
    expect(remembered).toBeGreaterThan(0);
    expect(remembered).toBeLessThanOrEqual(64);
  });
});
