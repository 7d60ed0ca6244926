import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InferAnswer } from '../../../../src/gateway/accept/rest/infer-answer.ts';
import { inferBody } from '../../../../src/gateway/accept/rest/infer-body.ts';
import { type ParsedRequest, parseInferRequest } from '../../../../src/gateway/accept/rest/infer-json.ts';
import type { RequestBounds } from '../../../../src/gateway/accept/rest/json-data.ts';
import { Slices } from '../../../../src/gateway/accept/slices.ts';
import { InferError } from '../../../../src/gateway/errors.ts';
import { jsonToRaw } from '../../../../src/wire/json-tensor.ts';
import type { Datatype } from '../../../../src/wire/tensor.ts';
import { turnsOf } from '../../../support/turns.ts';

const MIB = 2 ** 20;
const MODEL = { name: 'm', version: '' };
/** Limit of one turn of the event loop, garbage collection included: a slice has 3 ms. */
const MAX_TURN_MS = 100;

function bounds(changes: Partial<RequestBounds> = {}): RequestBounds {
  return {
    slices: new Slices(),
    charge: { take() {} },
    maxJsonBytes: 64 * MIB,
    maxTensorBytes: 64 * MIB,
    ...changes,
  };
}

function parse(json: string | Buffer, changes?: Partial<RequestBounds>): Promise<ParsedRequest> {
  // A copy of a long body would count as a turn of the event loop.
  const body = typeof json === 'string' ? Buffer.from(json) : json;
  return parseInferRequest(MODEL, body, bounds(changes));
}

/** The members of an object in some order, with a key that no one knows. */
function members(entries: readonly (readonly [string, string])[], order: readonly number[]): string {
  const all = [...entries, ['model_name', '{"a": [1, "]", {}], "data": [1]}'] as const];
  const ranked = all.map((entry, index) => ({ entry, rank: order[index % order.length] ?? 0 }));
  return `{${ranked.sort((a, b) => a.rank - b.rank).map(({ entry: [key, value] }) => `"${key}":${value}`)}}`;
}

describe('a request in JSON', () => {
  test('may have its keys in any order, and keys that no one knows', async () => {
    const order = fc.array(fc.nat(100), { minLength: 6, maxLength: 6 });
    const input = fc.record({
      name: fc.string({ minLength: 1 }),
      values: fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), { maxLength: 5 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(input, { maxLength: 3 }), fc.string(), order, async (tensors, id, ranks) => {
        const inputs = tensors.map(({ name, values }) =>
          members(
            [
              ['name', JSON.stringify(name)],
              ['shape', `[${values.length}]`],
              ['datatype', '"FP64"'],
              ['data', `[${values.map((value) => (Object.is(value, -0) ? '-0.0' : String(value)))}]`],
            ],
            ranks,
          ),
        );
        const json = members(
          [
            ['id', JSON.stringify(id)],
            ['inputs', `[${inputs}]`],
            ['parameters', '{"priority": 9007199254740993}'],
          ],
          ranks,
        );
        const { request } = await parse(json);
        expect(request.id).toBe(id);
        expect(request.parameters).toEqual(new Map([['priority', { kind: 'int64', value: 9_007_199_254_740_993n }]]));
        expect(request.inputs.map(({ name, shape }) => [name, shape])).toEqual(
          tensors.map(({ name, values }) => [name, [values.length]]),
        );
        expect(request.rawInputContents.map((raw) => Buffer.from(raw))).toEqual(
          tensors.map(({ values }) => Buffer.from(jsonToRaw('FP64', values))),
        );
      }),
    );
  });

  test('may have null for each optional field, as clients that are made from a schema send it', async () => {
    const input = '"name": "x", "datatype": "FP32", "shape": [1], "data": [1]';
    const bare = await parse(`{"inputs": [{${input}}], "outputs": [{"name": "y"}]}`);
    const written = await parse(
      `{"id": null, "model_version": null, "parameters": null,
        "inputs": [{${input}, "parameters": {"binary_data_size": null, "content_type": null}}],
        "outputs": [{"name": "y", "parameters": null, "data": null}]}`,
    );
    expect(written).toEqual(bare);
    expect(await parse(`{"inputs": [{${input}, "parameters": null}], "outputs": null}`)).toMatchObject({
      request: { id: '', outputs: [], parameters: new Map() },
    });
    const binaryOutput = `{"inputs": [{${input}}], "parameters": {"binary_data_output": null}}`;
    expect((await parse(binaryOutput)).binary.all).toBe(false);
  });

  test.each(['inputs', 'name', 'datatype', 'shape', 'data'])('must have a value for %s', async (key) => {
    const input = { name: 'x', datatype: 'FP32', shape: [1], data: [1], ...(key !== 'inputs' && { [key]: null }) };
    const json = JSON.stringify({ inputs: key === 'inputs' ? null : [input] });
    await expect(parse(json)).rejects.toThrow(new RegExp(`'${key}' of .* is null, expected an? (array|string)`));
  });

  test('ends every text that is cut or changed with a refusal or a request, never with a fault', async () => {
    const json = JSON.stringify({
      id: 'ä',
      inputs: [
        {
          name: 'a',
          datatype: 'FP32',
          shape: [2, 2],
          data: [
            [1, 2.5],
            [-3e4, 0],
          ],
          parameters: { x: true },
        },
        { name: 'b', datatype: 'BYTES', shape: [2], data: ['x\n', 'ü'] },
      ],
      outputs: [{ name: 'c', parameters: { classification: 1 } }],
    });
    const bytes = fc.uint8Array({ maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(fc.nat(json.length), fc.nat(4), bytes, async (at, removed, added) => {
        const body = Buffer.from(json);
        const changed = Buffer.concat([body.subarray(0, at), added, body.subarray(at + removed)]);
        await parse(changed).catch((error: unknown) => {
          expect(error).toMatchObject({ name: 'InferError', reason: expect.stringMatching(/invalid_request|limit_/) });
        });
      }),
      { numRuns: 5_000 },
    );
  });

  test('that is 60 MiB long holds the event loop for slices, not for its length', { timeout: 60_000 }, async () => {
    const element = '-0.12345678901234566,';
    const count = Math.floor((60 * MIB) / element.length);
    const head = `{"inputs":[{"name":"x","datatype":"FP32","shape":[1,${count}],"data":[`;
    const body = Buffer.concat([
      Buffer.from(head),
      Buffer.alloc(count * element.length - 1, element),
      Buffer.from(']}]}'),
    ]);
    let raw: Uint8Array | undefined;
    const { longestMs, count: turns } = await turnsOf(async () => {
      raw = (await parse(body)).request.rawInputContents[0];
    });
    const floats = new Float32Array(raw?.buffer ?? new ArrayBuffer(0));
    expect([floats.length, floats[0], floats.at(-1)]).toEqual([count, Math.fround(-0.12345678901234566), floats[0]]);
    expect(longestMs).toBeLessThan(MAX_TURN_MS);
    expect(turns).toBeGreaterThan(20);
  });

  test('that is one string of 60 MiB holds the event loop for slices too', { timeout: 60_000 }, async () => {
    const text = Buffer.alloc(60 * MIB, 'größer\\n');
    const head = '{"inputs":[{"name":"x","datatype":"BYTES","shape":[1],"data":["';
    const body = Buffer.concat([Buffer.from(head), text, Buffer.from('"]}]}')]);
    const { longestMs } = await turnsOf(() => parse(body));
    expect(longestMs).toBeLessThan(MAX_TURN_MS);
  });

  test('may have as many inputs as any model may, and holds the event loop for slices then too', async () => {
    const input = (index: number): object => ({
      name: `column${index}`,
      datatype: 'FP32',
      shape: [1, 1],
      data: [index],
    });
    const json = JSON.stringify({ inputs: Array.from({ length: 16_384 }, (_, index) => input(index)) });
    const { longestMs } = await turnsOf(async () => {
      const { inputs, rawInputContents } = (await parse(json)).request;
      expect([inputs.length, inputs.at(-1)?.name, rawInputContents.length]).toEqual([16_384, 'column16383', 16_384]);
    });
    expect(longestMs).toBeLessThan(MAX_TURN_MS);
  });

  test.each<[what: string, json: string, reason: string, text: RegExp]>([
    [
      'tensors that are larger than a message may be, before they are made',
      `{"inputs":[{"name":"x","datatype":"FP64","shape":[200],"data":[${'1,'.repeat(199)}1]}]}`,
      'limit_exceeded',
      /tensors of the request take 1600 bytes with input 'x', at most 1000 are allowed \(maxMessageBytes\)/,
    ],
    ['too many values', `{"inputs":[${'{},'.repeat(300_000)}{}]}`, 'limit_exceeded', /more than 250000 values/],
    ['too many values in one', `{"x":[${'1,'.repeat(30_000)}1]}`, 'limit_exceeded', /more than 20000 values in one/],
    ['a long key', `{"${'a'.repeat(9 * MIB)}":1}`, 'limit_exceeded', /more than 8388608 bytes/],
    [
      'data that is none',
      '{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"data":3}]}',
      'invalid_request',
      /'data' of input 'x' is 3, expected an array/,
    ],
    [
      'data that is missing',
      '{"inputs":[{"name":"x","datatype":"FP32","shape":[1],"Data":[3]}]}',
      'invalid_request',
      /'data' of input 'x' is missing, expected an array: it has 'name', 'datatype', 'shape', 'Data'/,
    ],
    [
      'a second document',
      '{"inputs":[]}{}',
      'invalid_request',
      /failed to parse the request JSON buffer: an object at byte 13, expected the end/,
    ],
  ])('is refused for %s', async (_, json, reason, message) => {
    await expect(parse(json, { maxTensorBytes: 1_000 })).rejects.toMatchObject({
      reason,
      message: expect.stringMatching(message),
    });
  });

  test('that is given up while it is read ends with the reason', async () => {
    const json = `{"inputs":[{"name":"x","datatype":"FP32","shape":[200000],"data":[${'1,'.repeat(199_999)}1]}]}`;
    const gone = new InferError('cancelled', 'the caller went away');
    const slices = { isOver: true, next: () => Promise.reject(gone) };
    await expect(parse(json, { slices })).rejects.toBe(gone);
  });

  test('charges what its tensors take', async () => {
    const taken: number[] = [];
    const json =
      '{"inputs":[{"name":"x","datatype":"FP64","shape":[2],"data":[1,2]},{"name":"y","datatype":"INT8","shape":[1],"data":[1]}]}';
    await parse(json, { charge: { take: (bytes) => taken.push(bytes) } });
    expect(taken).toEqual([16, 1]);
  });
});

function answer(datatype: Datatype, shape: readonly number[], data: Uint8Array, isBinary = false): InferAnswer {
  const outputs = [{ name: 'y', datatype, shape, data }];
  const response = { modelName: 'm', modelVersion: '1', id: '', parameters: new Map(), outputs };
  return new InferAnswer(response, { all: isBinary, byName: new Map() });
}

describe('an answer in JSON', () => {
  const charge = { take() {} };

  test('that is small is whole, in one chunk', async () => {
    const body = await inferBody(answer('FP32', [2], jsonToRaw('FP32', [0.1, Number.NaN])), new Slices(), charge);
    expect(body).toMatchObject({ chunks: [expect.anything()], headerLength: undefined });
    expect(body.rest).toBeUndefined();
    expect(Buffer.concat(body.chunks).toString()).toBe(
      '{"model_name":"m","model_version":"1","outputs":[{"name":"y","datatype":"FP32","shape":[2],"data":[0.1,NaN]}]}',
    );
  });

  test('that is large is made while it is taken, in slices', { timeout: 60_000 }, async () => {
    const count = 4_000_000;
    const values = Float32Array.from({ length: count }, (_, index) => Math.sin(index));
    const text: Uint8Array[] = [];
    const { longestMs } = await turnsOf(async () => {
      const body = await inferBody(answer('FP32', [1, count], new Uint8Array(values.buffer)), new Slices(), charge);
      expect(body.rest?.heldBytes).toBe(4 * count);
      expect(body.chunks.reduce((sum, { byteLength }) => sum + byteLength, 0)).toBeLessThan(5 * MIB);
      text.push(...body.chunks);
      for await (const chunk of body.rest?.chunks ?? []) text.push(chunk);
    });
    expect(longestMs).toBeLessThan(MAX_TURN_MS);
    const { outputs } = JSON.parse(Buffer.concat(text).toString());
    expect(Float32Array.from(outputs[0].data)).toEqual(values);
  });

  test('with binary tensors behind it says how long it is', async () => {
    const data = jsonToRaw('FP32', [1, 2]);
    const { chunks, headerLength } = await inferBody(answer('FP32', [2], data, true), new Slices(), charge);
    const bytes = Buffer.concat(chunks);
    expect(JSON.parse(bytes.subarray(0, headerLength).toString())).toMatchObject({
      outputs: [{ parameters: { binary_data_size: 8 } }],
    });
    expect(bytes.subarray(headerLength)).toEqual(Buffer.from(data));
  });
});
