/** Every datatype, bit by bit, through the whole server: identity models give back what they were sent. */

import { describe, expect, test } from 'vitest';
import { decodeBytesTensor, encodeBytesTensor } from '../../src/wire/bytes-tensor.ts';
import { encodeInferRequest } from '../../src/wire/infer-request.ts';
import { decodeInferResponse } from '../../src/wire/infer-response.ts';
import { DEFAULT_WIRE_LIMITS } from '../../src/wire/limits.ts';
import type { Datatype, Shape } from '../../src/wire/tensor.ts';
import { isTypedDatatype } from '../../src/wire/typed-contents.ts';
import { bytesOf } from '../support/bytes-of.ts';
import { inferInput, inferRequest, typedContents } from '../support/infer-requests.ts';
import { type Axis, identityModel } from '../support/onnx-models.ts';
import type { ModelFiles } from '../support/repository.ts';
import { useServer } from '../support/server-fixture.ts';
import { INFERENCE, type Message, method } from '../support/stock-client.ts';

interface Sample {
  readonly datatype: Datatype;
  /** Four elements. */
  readonly elements: ArrayBufferView | readonly string[];
  /** The field of typed contents, and the same elements as a stock client sends and reads them there. */
  readonly typed?: readonly [field: string, values: readonly unknown[]];
}

const FLOAT_LIMITS = [1.401298464324817e-45, 3.4028234663852886e38, -1.1754943508222875e-38, -0];
const DOUBLE_LIMITS = [5e-324, Number.MAX_VALUE, -2.2250738585072014e-308, -0];
const STRINGS = ['', 'Zürich', '\u{1f600}', ' a\r\n\t'];

const SAMPLES: readonly Sample[] = [
  { datatype: 'BOOL', elements: Uint8Array.of(1, 0, 0, 1), typed: ['bool_contents', [true, false, false, true]] },
  { datatype: 'UINT8', elements: Uint8Array.of(0, 1, 128, 255), typed: ['uint_contents', [0, 1, 128, 255]] },
  {
    datatype: 'UINT16',
    elements: Uint16Array.of(0, 1, 32_768, 65_535),
    typed: ['uint_contents', [0, 1, 32_768, 65_535]],
  },
  {
    datatype: 'UINT32',
    elements: Uint32Array.of(0, 1, 2 ** 31, 2 ** 32 - 1),
    typed: ['uint_contents', [0, 1, 2 ** 31, 2 ** 32 - 1]],
  },
  {
    datatype: 'UINT64',
    elements: BigUint64Array.of(0n, 1n, 2n ** 63n, 2n ** 64n - 1n),
    typed: ['uint64_contents', ['0', '1', '9223372036854775808', '18446744073709551615']],
  },
  { datatype: 'INT8', elements: Int8Array.of(-128, -1, 0, 127), typed: ['int_contents', [-128, -1, 0, 127]] },
  {
    datatype: 'INT16',
    elements: Int16Array.of(-32_768, -1, 0, 32_767),
    typed: ['int_contents', [-32_768, -1, 0, 32_767]],
  },
  {
    datatype: 'INT32',
    elements: Int32Array.of(-(2 ** 31), -1, 0, 2 ** 31 - 1),
    typed: ['int_contents', [-(2 ** 31), -1, 0, 2 ** 31 - 1]],
  },
  {
    datatype: 'INT64',
    elements: BigInt64Array.of(-(2n ** 63n), -1n, 2n ** 53n + 1n, 2n ** 63n - 1n),
    typed: ['int64_contents', ['-9223372036854775808', '-1', '9007199254740993', '9223372036854775807']],
  },
  // The largest, the smallest subnormal, -0, and a NaN with a payload.
  { datatype: 'FP16', elements: Uint16Array.of(0x7bff, 0x0001, 0x8000, 0x7e2a) },
  // The largest, the smallest subnormal, -0, and a quiet NaN: a payload of another NaN is lost in a Cast.
  { datatype: 'BF16', elements: Uint16Array.of(0x7f7f, 0x0001, 0x8000, 0x7fc0) },
  { datatype: 'FP32', elements: Float32Array.from(FLOAT_LIMITS), typed: ['fp32_contents', FLOAT_LIMITS] },
  { datatype: 'FP64', elements: Float64Array.from(DOUBLE_LIMITS), typed: ['fp64_contents', DOUBLE_LIMITS] },
  { datatype: 'BYTES', elements: STRINGS, typed: ['bytes_contents', STRINGS.map((text) => Buffer.from(text))] },
];

/** What no number of JavaScript carries: NaNs that differ in their payload, quiet and signalling, of both signs; infinities. */
const BIT_PATTERNS: readonly { readonly datatype: Datatype; readonly elements: ArrayBufferView }[] = [
  { datatype: 'FP16', elements: Uint16Array.of(0x7e01, 0xfdff, 0x7c00, 0xfc00) },
  { datatype: 'FP32', elements: Uint32Array.of(0x7fc0_1234, 0xff80_0001, 0x7f80_0000, 0xff80_0000) },
  {
    datatype: 'FP64',
    elements: BigUint64Array.of(0x7ff8_0000_dead_beefn, 0xfff0_0000_0000_0001n, 0x7ff0n << 48n, 0xfff0n << 48n),
  },
];

const TYPED = SAMPLES.flatMap(({ datatype, typed }) => (typed === undefined ? [] : [{ datatype, typed }]));
const TYPED_BIT_PATTERNS = BIT_PATTERNS.flatMap(({ datatype, elements }) =>
  isTypedDatatype(datatype) ? [{ datatype, elements }] : [],
);

function rawOf(elements: Sample['elements']): Uint8Array {
  if (!ArrayBuffer.isView(elements)) return encodeBytesTensor(elements.map((text) => Buffer.from(text)));
  return bytesOf(elements);
}

/** The first element, in raw form. */
function firstOf(datatype: Datatype, raw: Uint8Array): Uint8Array {
  return datatype === 'BYTES'
    ? encodeBytesTensor([decodeBytesTensor(raw, 4)[0] ?? Buffer.alloc(0)])
    : raw.subarray(0, raw.length / 4);
}

/** Models of one datatype, by the form of their tensors; all are served by one process. */
const FORMS = {
  /** Batched: rows of two elements. */
  rows: ['batch', 2],
  /** Whatever matrix, as a whole. */
  matrix: ['', ''],
  scalar: [],
} as const satisfies Record<string, readonly Axis[]>;

function modelsOfAllDatatypes(): Record<string, ModelFiles> {
  const models: Record<string, ModelFiles> = {};
  for (const { datatype } of SAMPLES) {
    for (const [form, axes] of Object.entries(FORMS)) {
      models[nameOf(datatype, form as keyof typeof FORMS)] = {
        versions: { 1: identityModel(datatype, axes) },
        config: {
          ...(form === 'matrix' && { max_batch_size: 0 }),
          instance_group: [{ count: 1, kind: 'KIND_CPU' }],
          tensorgate: { runner: 'datatypes' },
        },
      };
    }
  }
  return models;
}

const fixture = useServer(modelsOfAllDatatypes());

function nameOf(datatype: Datatype, form: keyof typeof FORMS): string {
  return `${datatype.toLowerCase()}-${form}`;
}

function inferRaw(model: string, datatype: Datatype, shape: Shape, raw: Uint8Array): Promise<Message> {
  const inputs = [{ name: 'input', datatype, shape }];
  return fixture.client.infer({ model_name: model, inputs, raw_input_contents: [raw] });
}

function inferTyped(model: string, datatype: Datatype, shape: Shape, contents: Message): Promise<Message> {
  return fixture.client.infer({ model_name: model, inputs: [{ name: 'input', datatype, shape, contents }] });
}

/** The one output has this form, and these are its bytes. */
function expectRaw(response: Message, datatype: Datatype, shape: Shape, raw: Uint8Array): void {
  expect(response['outputs']).toMatchObject([{ name: 'output', datatype, shape: shape.map(String), contents: null }]);
  expect(response['raw_output_contents'].map((bytes: Buffer) => bytes.toString('hex'))).toEqual([
    Buffer.from(raw).toString('hex'),
  ]);
}

describe.each(SAMPLES)('$datatype', ({ datatype, elements }) => {
  const raw = rawOf(elements);

  test('comes back raw, bit by bit, when it was sent raw', async () => {
    expectRaw(await inferRaw(nameOf(datatype, 'rows'), datatype, [2, 2], raw), datatype, [2, 2], raw);
    expectRaw(await inferRaw(nameOf(datatype, 'matrix'), datatype, [4, 1], raw), datatype, [4, 1], raw);
  });

  test('may be a scalar', async () => {
    const one = firstOf(datatype, raw);
    expectRaw(await inferRaw(nameOf(datatype, 'scalar'), datatype, [], one), datatype, [], one);
  });

  test.each([[[0, 3]], [[3, 0]], [[0, 0]]])('may be empty: %j', async (shape) => {
    const none = new Uint8Array(0);
    expectRaw(await inferRaw(nameOf(datatype, 'matrix'), datatype, shape, none), datatype, shape, none);
  });
});

describe.each(TYPED)('typed contents of $datatype', ({ datatype, typed: [field, values] }) => {
  test('are answered typed, value by value', async () => {
    const response = await inferTyped(nameOf(datatype, 'rows'), datatype, [2, 2], { [field]: values });
    expect(response['raw_output_contents']).toEqual([]);
    const [output] = response['outputs'];
    expect(output).toMatchObject({ name: 'output', datatype, shape: ['2', '2'] });
    const filled = Object.entries(output.contents).filter(([, list]) => (list as unknown[]).length > 0);
    expect(filled).toEqual([[field, values]]);
  });

  test('are answered typed when they are empty', async () => {
    const response = await inferTyped(nameOf(datatype, 'matrix'), datatype, [2, 0], {});
    expect(response['raw_output_contents']).toEqual([]);
    expect(response['outputs']).toMatchObject([{ datatype, shape: ['2', '0'] }]);
  });
});

describe.each(BIT_PATTERNS)('NaNs and infinities of $datatype', ({ datatype, elements }) => {
  const raw = rawOf(elements);
  const model = nameOf(datatype, 'rows');

  test('keep their bits when they are sent raw', async () => {
    expectRaw(await inferRaw(model, datatype, [2, 2], raw), datatype, [2, 2], raw);
  });
});

test.each(TYPED_BIT_PATTERNS)(
  'NaNs and infinities of $datatype keep their bits when they are sent typed',
  async ({ datatype, elements }) => {
    const raw = rawOf(elements);
    const contents = typedContents(datatype, raw, 4);
    const input = inferInput('input', datatype, [2, 2], { contents });
    const request = inferRequest({ modelName: nameOf(datatype, 'rows'), inputs: [input] });
    const bytes = await fixture.client.bytes(`/${INFERENCE}/ModelInfer`, Buffer.concat(encodeInferRequest(request)));
    expect(method(INFERENCE, 'ModelInfer').responseDeserialize(bytes)['raw_output_contents']).toEqual([]);
    const { outputs } = decodeInferResponse(bytes, DEFAULT_WIRE_LIMITS);
    expect(outputs.map(({ data }) => Buffer.from(data).toString('hex'))).toEqual([Buffer.from(raw).toString('hex')]);
  },
);

test.each(['FP16', 'BF16'] as const)('a tensor of %s has no typed form', async (datatype) => {
  const refusal = await fixture.client.refusal('ModelInfer', {
    model_name: nameOf(datatype, 'rows'),
    inputs: [{ name: 'input', datatype, shape: [1, 2], contents: { fp32_contents: [1, 2] } }],
  });
  expect(refusal).toMatchObject({
    code: 'INVALID_ARGUMENT',
    text: expect.stringContaining(`of type 'FP32', expected datatype '${datatype}'`),
  });
});

test.each([
  ['INT8', 'int_contents', [128, 0]],
  ['INT16', 'int_contents', [0, -32_769]],
  ['UINT8', 'uint_contents', [256, 0]],
  ['UINT16', 'uint_contents', [0, 65_536]],
] as const)('a typed value beyond %s is refused, not truncated', async (datatype, field, values) => {
  const contents = { [field]: values };
  const call = inferTyped(nameOf(datatype, 'rows'), datatype, [1, 2], contents);
  await expect(call).rejects.toThrow(/INVALID_ARGUMENT: value -?\d+ of element [01] .* is out of range for /);
});

test('strings that ONNX Runtime cannot hold are refused, and others of the batch are not harmed', async () => {
  const model = nameOf('BYTES', 'rows');
  const send = (element: Uint8Array): Promise<Message> =>
    inferRaw(model, 'BYTES', [1, 2], encodeBytesTensor([element, Buffer.from('b')]));
  const [nul, invalid, good] = await Promise.allSettled([
    send(Buffer.from('a\0b')),
    send(Buffer.of(0xff, 0xfe)),
    send(Buffer.from('a')),
  ]);
  expect(nul).toMatchObject({ reason: { details: expect.stringContaining('NUL') } });
  expect(invalid).toMatchObject({ reason: { details: expect.stringContaining('UTF-8') } });
  expect(good.status).toBe('fulfilled');
});
