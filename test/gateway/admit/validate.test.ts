import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { validate } from '../../../src/gateway/admit/validate.ts';
import { InferError, type Reason } from '../../../src/gateway/errors.ts';
import type { ModelSignature } from '../../../src/gateway/repository/signature/model-signature.ts';
import { encodeBytesTensor } from '../../../src/wire/bytes-tensor.ts';
import type { InferRequest } from '../../../src/wire/infer-request.ts';
import { DATATYPE_BYTES, type Datatype, isDatatype } from '../../../src/wire/tensor.ts';
import { bytesOf } from '../../../src/wire/tensor-bytes.ts';
import { isTypedDatatype, type TypedDatatype } from '../../../src/wire/typed-contents.ts';
import {
  inferInput,
  inferRequest,
  parameters,
  rawRequest,
  signatureOf,
  spec,
  typedContents,
  typedRequest,
} from '../../support/infer-requests.ts';

const WHOLE = { kind: 'off', reason: 'a test says so' } as const;
const DATATYPES = Object.keys(DATATYPE_BYTES).filter(isDatatype);
const SIZED = DATATYPES.filter((datatype) => DATATYPE_BYTES[datatype] !== undefined);

/** A model with the input `x`, [-1, 4]. */
function model(datatype: Datatype = 'FP32'): ModelSignature {
  return signatureOf([spec('x', datatype, [-1, 4])]);
}

function refusalOf(request: InferRequest, signature: ModelSignature): { reason: Reason; message: string } {
  try {
    validate(request, signature);
  } catch (error) {
    if (error instanceof InferError) return { reason: error.reason, message: error.message };
    throw error;
  }
  throw new Error('the request was accepted');
}

function expectInvalid(request: InferRequest, signature: ModelSignature, message: string): void {
  expect(refusalOf(request, signature)).toEqual({ reason: 'invalid_request', message });
}

function sizeOf(datatype: Datatype): number {
  return DATATYPE_BYTES[datatype] ?? 0;
}

describe('accepted requests', () => {
  test.each(SIZED)('raw contents of %s, as a view of what came', (datatype) => {
    const raw = new Uint8Array(2 * 4 * sizeOf(datatype));
    const tensors = validate(rawRequest(datatype, [2, 4], raw), model(datatype));
    expect(tensors).toEqual({
      requestId: '',
      rows: 2,
      size: { elements: 4, length: 1 },
      bytes: raw.byteLength,
      inputs: [raw],
      shapes: [[2, 4]],
      bucket: '4,;',
    });
    expect(tensors.inputs[0]).toBe(raw);
  });

  test.each(DATATYPES.filter(isTypedDatatype))('typed contents of %s, which become raw ones', (datatype) => {
    const raw =
      datatype === 'BYTES'
        ? encodeBytesTensor(['', 'a', 'bc', 'é'].map((text) => Buffer.from(text)))
        : Uint8Array.from({ length: 4 * sizeOf(datatype) }, (_, index) => (datatype === 'BOOL' ? index % 2 : index));
    const { inputs } = validate(typedRequest(datatype, [1, 4], typedContents(datatype, raw, 4)), model(datatype));
    expect(inputs.map((input) => [...bytesOf(input)])).toEqual([[...raw]]);
  });

  test('strings in raw form', () => {
    const raw = encodeBytesTensor(['', 'a', '\u{1f600}', 'line\nbreak'].map((text) => Buffer.from(text)));
    expect(validate(rawRequest('BYTES', [1, 4], raw), model('BYTES')).inputs).toEqual([raw]);
  });

  test('inputs in any order: they come out in the order of the model, each with its own contents', () => {
    const signature = signatureOf([spec('a', 'UINT8', [-1]), spec('b', 'UINT8', [-1, 2])]);
    const request = inferRequest({
      inputs: [inferInput('b', 'UINT8', [2, 2]), inferInput('a', 'UINT8', [2])],
      rawInputContents: [Buffer.from('bbbb'), Buffer.from('aa')],
    });
    const { inputs, shapes, bucket } = validate(request, signature);
    expect(inputs.map(String)).toEqual(['aa', 'bbbb']);
    expect(shapes).toEqual([[2], [2, 2]]);
    expect(bucket).toBe(';2,;');
  });

  test('requests of equal shapes but for the rows share a bucket, others do not', () => {
    const signature = signatureOf([spec('x', 'UINT8', [-1, -1])]);
    const bucketOf = (shape: readonly number[]): string =>
      validate(rawRequest('UINT8', shape, new Uint8Array((shape[0] ?? 0) * (shape[1] ?? 0))), signature).bucket;
    expect(bucketOf([1, 3])).toBe(bucketOf([7, 3]));
    expect(bucketOf([1, 3])).not.toBe(bucketOf([1, 4]));
  });

  test('a model without batching takes whole shapes, and each is a bucket', () => {
    const signature = signatureOf([spec('x', 'UINT8', [-1, 2])], { batching: WHOLE });
    const [one, two] = [1, 2].map((size) =>
      validate(rawRequest('UINT8', [size, 2], new Uint8Array(size * 2)), signature),
    );
    expect([one?.rows, two?.rows]).toEqual([1, 1]);
    expect(one?.bucket).not.toBe(two?.bucket);
  });

  test('a scalar, where the model takes one', () => {
    const signature = signatureOf([spec('x', 'INT64', [])], { batching: WHOLE });
    expect(validate(rawRequest('INT64', [], new Uint8Array(8)), signature)).toMatchObject({ rows: 1, bytes: 8 });
  });

  test('a tensor without elements, whether it has contents or not', () => {
    const signature = signatureOf([spec('x', 'FP32', [-1, -1])]);
    expect(validate(rawRequest('FP32', [2, 0], new Uint8Array(0)), signature)).toMatchObject({ rows: 2, bytes: 0 });
    const without = inferRequest({ inputs: [inferInput('x', 'FP32', [2, 0])] });
    expect(validate(without, signature)).toMatchObject({ rows: 2, bytes: 0 });
  });

  test('as many rows as the model batches', () => {
    expect(validate(rawRequest('FP32', [8, 4], new Uint8Array(128)), model()).rows).toBe(8);
  });

  test('NaN, infinities, -0 and subnormal numbers, bit for bit', () => {
    const raw = new Uint8Array(new Uint32Array([0x7fc00001, 0x7f800000, 0x80000000, 1]).buffer);
    expect(validate(rawRequest('FP32', [1, 4], raw), model()).inputs[0]).toBe(raw);
  });
});

describe('bytes that do not match the shape', () => {
  const wrong = SIZED.flatMap((datatype) => {
    const right = 2 * 4 * sizeOf(datatype);
    return [right - 1, right + 1, right * 2, 0].map((got) => ({ datatype, right, got }));
  });

  test.each(wrong)('$datatype: $got instead of $right', ({ datatype, right, got }) => {
    expectInvalid(
      rawRequest(datatype, [2, 4], new Uint8Array(got)),
      model(datatype),
      `input byte size mismatch for input 'x' for model 'm'. Expected ${right}, got ${got}`,
    );
  });

  test.each(DATATYPES.filter(isTypedDatatype))('typed %s: one element too few, one too many', (datatype) => {
    for (const elements of [3, 5]) {
      const raw = new Uint8Array(elements * (DATATYPE_BYTES[datatype] ?? 4));
      expectInvalid(
        typedRequest(datatype, [1, 4], typedContents(datatype, raw, elements)),
        model(datatype),
        `unexpected number of elements for input 'x' for model 'm'. Expected 4, got ${elements}`,
      );
    }
  });
});

describe('datatypes', () => {
  const pairs = DATATYPES.flatMap((wanted) =>
    [...DATATYPES, 'fp32', 'FLOAT', '', 'TYPE_FP32', 'toString', '__proto__'].map((given) => ({ wanted, given })),
  ).filter(({ wanted, given }) => wanted !== given);

  test('every datatype except the declared one is refused, even if all the rest is right', () => {
    for (const { wanted, given } of pairs) {
      expectInvalid(
        rawRequest(given, [1, 4], new Uint8Array(4 * (isDatatype(given) ? sizeOf(given) : 4))),
        model(wanted),
        `inference input 'x' data-type is '${given}', but model 'm' expects '${wanted}'`,
      );
    }
  });
});

describe('T3-5: shapes', () => {
  const given = (shape: readonly number[], signature = model()) => ({
    request: rawRequest('FP32', shape, new Uint8Array(16)),
    signature,
  });
  const square = signatureOf([spec('x', 'FP32', [-1, -1, -1])]);

  test.each([[[-1, 4]], [[1, -1]]])('an axis that is left open, [%s]', (shape) => {
    const { request, signature } = given(shape);
    expectInvalid(
      request,
      signature,
      `All input dimensions should be specified for input 'x' for model 'm', got [${shape}]`,
    );
  });

  test.each([
    [[1, 5]],
    [[1, 3]],
    [[4]],
    [[1, 4, 1]],
    [[1, 1, 4]],
    [[-2, 4]],
    [[2 ** 31, 4]],
    [[2 ** 53 + 2, 4]],
    [[2 ** 63, 4]],
  ])('[%s] where [-1,4] is expected', (shape) => {
    const { request, signature } = given(shape);
    expectInvalid(request, signature, `unexpected shape for input 'x' for model 'm'. Expected [-1,4], got [${shape}]`);
  });

  test('a batch dimension that is missing', () => {
    const { request, signature } = given([]);
    expectInvalid(request, signature, "input 'x' has no shape but model requires batch dimension for 'm'");
  });

  test('a batch without rows', () => {
    const { request, signature } = given([0, 4]);
    expectInvalid(
      request,
      signature,
      "input 'x' of model 'm' has no rows: expected a batch size of at least 1, got [0,4]",
    );
  });

  test('more rows than the model batches', () => {
    expectInvalid(
      rawRequest('FP32', [9, 4], new Uint8Array(144)),
      model(),
      "inference request batch-size must be <= 8 for 'm' (max_batch_size), got 9",
    );
  });

  test('more rows than larger requests may have, which are split', () => {
    const split = { ...model(), batching: { kind: 'on', maxRows: 8, requestRows: 16 } } as const;
    const request = (rows: number) => rawRequest('FP32', [rows, 4], new Uint8Array(rows * 16));
    expect(validate(request(16), split)).toMatchObject({ rows: 16, bytes: 256 });
    expectInvalid(
      request(17),
      split,
      "inference request batch-size must be <= 16 for 'm' (max_batch_size is 8, larger requests are split), got 17",
    );
  });

  test.each([[[2 ** 31 - 1, 2 ** 31 - 1, 1]], [[2 ** 31 - 1, 2 ** 31 - 1, 2 ** 31 - 1]], [[2 ** 27, 2 ** 26, 2]]])(
    'a product beyond 2^53, [%s], is not wrapped',
    (shape) => {
      const { request, signature } = given(shape, square);
      expect(refusalOf(request, signature)).toEqual({
        reason: 'invalid_request',
        message: `input 'x' of model 'm' has too many elements: [${shape}]`,
      });
    },
  );

  test('a huge tensor that is empty is still a batch of too many rows', () => {
    const request = rawRequest('FP32', [2 ** 31 - 1, 0, 5], new Uint8Array(0));
    expect(refusalOf(request, square).message).toContain('batch-size must be <= 8');
  });

  test('a shape that calls for more bytes than anyone sent costs no memory', () => {
    const before = process.memoryUsage().arrayBuffers;
    const typed = typedRequest('FP32', [8, 2 ** 24, 2 ** 20], typedContents('FP32', new Uint8Array(16), 4));
    expect(refusalOf(typed, square).message).toContain('unexpected number of elements');
    expect(refusalOf(rawRequest('FP32', [8, 2 ** 24, 2 ** 20], new Uint8Array(4)), square).message).toContain(
      'mismatch',
    );
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1_000_000);
  });

  test('batches of different inputs that do not agree', () => {
    const signature = signatureOf([spec('a', 'UINT8', [-1]), spec('b', 'UINT8', [-1])]);
    const request = inferRequest({
      inputs: [inferInput('a', 'UINT8', [2]), inferInput('b', 'UINT8', [3])],
      rawInputContents: [new Uint8Array(2), new Uint8Array(3)],
    });
    expectInvalid(request, signature, "input 'b' batch size does not match other inputs for 'm'");
  });
});

describe('raw and typed contents', () => {
  const signature = signatureOf([spec('a', 'UINT8', [-1]), spec('b', 'UINT8', [-1])]);
  const one = typedContents('UINT8', new Uint8Array(1), 1);

  test('both in one request', () => {
    const request = inferRequest({
      inputs: [inferInput('a', 'UINT8', [1]), inferInput('b', 'UINT8', [1], { contents: one })],
      rawInputContents: [new Uint8Array(1), new Uint8Array(1)],
    });
    expectInvalid(
      request,
      signature,
      "contents field must not be specified when using raw_input_contents for 'b' for model 'm'",
    );
  });

  test('contents without elements beside raw ones do no harm: clients send the empty message', () => {
    const empty = new Uint8Array(0);
    const request = inferRequest({
      inputs: [inferInput('a', 'UINT8', [1], { contents: empty }), inferInput('b', 'UINT8', [1])],
      rawInputContents: [new Uint8Array(1), new Uint8Array(1)],
    });
    expect(validate(request, signature).bytes).toBe(2);
  });

  test('fewer raw entries than inputs', () => {
    const request = inferRequest({
      inputs: [inferInput('a', 'UINT8', [1]), inferInput('b', 'UINT8', [1])],
      rawInputContents: [new Uint8Array(1)],
    });
    expectInvalid(request, signature, "unable to find data for input tensor 'b' for model 'm' in request.");
  });

  test('more raw entries than inputs', () => {
    const request = inferRequest({
      inputs: [inferInput('a', 'UINT8', [1]), inferInput('b', 'UINT8', [1])],
      rawInputContents: [new Uint8Array(1), new Uint8Array(1), new Uint8Array(1)],
    });
    expectInvalid(
      request,
      signature,
      "the number of inputs (2) does not match the expected number of raw input contents (3) for model 'm'.",
    );
  });

  test('no contents at all', () => {
    const request = inferRequest({ inputs: [inferInput('a', 'UINT8', [1]), inferInput('b', 'UINT8', [1])] });
    expectInvalid(request, signature, "unable to find data for input tensor 'a' for model 'm' in request.");
  });

  test.each<{ field: TypedDatatype; wanted: Datatype }>([
    { field: 'INT32', wanted: 'FP32' },
    { field: 'UINT32', wanted: 'INT8' },
    { field: 'INT32', wanted: 'INT64' },
    { field: 'FP32', wanted: 'FP64' },
    { field: 'BOOL', wanted: 'UINT8' },
    { field: 'FP32', wanted: 'FP16' },
    { field: 'INT64', wanted: 'BYTES' },
  ])('elements in the field of $field for $wanted', ({ field, wanted }) => {
    const raw = new Uint8Array(4 * (DATATYPE_BYTES[field] ?? 0));
    expectInvalid(
      typedRequest(wanted, [1, 4], typedContents(field, raw, 4)),
      model(wanted),
      `unexpected explicit tensor data for input tensor 'x' for model 'm' of type '${field}', expected datatype '${wanted}'`,
    );
  });

  test.each([
    { datatype: 'INT8' as const, value: 300 },
    { datatype: 'INT8' as const, value: -129 },
    { datatype: 'INT16' as const, value: 32_768 },
    { datatype: 'UINT8' as const, value: 256 },
    { datatype: 'UINT16' as const, value: 65_536 },
  ])('$value as an $datatype', ({ datatype, value }) => {
    const wide = Buffer.from(new Int32Array([0, 0, value, 0]).buffer);
    const contents = typedContents(datatype.startsWith('U') ? 'UINT32' : 'INT32', wide, 4);
    expectInvalid(
      typedRequest(datatype, [1, 4], contents),
      model(datatype),
      `value ${value} of element 2 of input 'x' for model 'm' is out of range for ${datatype}`,
    );
  });

  test.each([2, 7, 255])('a raw BOOL of %d', (value) => {
    expectInvalid(
      rawRequest('BOOL', [1, 4], Uint8Array.of(0, 1, value, 0)),
      model('BOOL'),
      `value ${value} of element 2 of input 'x' for model 'm' is no BOOL: expected 0 or 1`,
    );
  });
});

describe('names', () => {
  const signature = signatureOf([spec('a', 'UINT8', [-1]), spec('b', 'UINT8', [-1])]);
  const request = (...names: string[]): InferRequest =>
    inferRequest({
      inputs: names.map((name) => inferInput(name, 'UINT8', [1])),
      rawInputContents: names.map(() => new Uint8Array(1)),
    });

  test.each([
    { names: ['a', 'a'], message: "input 'a' already exists in request" },
    { names: ['a', 'b', 'b'], message: "input 'b' already exists in request" },
    { names: ['a', 'c'], message: "unexpected inference input 'c' for model 'm', which takes ['a','b']" },
    { names: ['a', 'b', 'c'], message: "unexpected inference input 'c' for model 'm', which takes ['a','b']" },
    {
      names: ['a', '__proto__'],
      message: "unexpected inference input '__proto__' for model 'm', which takes ['a','b']",
    },
    {
      names: ['a'],
      message:
        "expected 2 inputs but got 1 inputs for model 'm'. Got input(s) ['a'], but missing required input(s) ['b']. Please provide all required input(s).",
    },
    {
      names: [],
      message:
        "expected 2 inputs but got 0 inputs for model 'm'. Got input(s) [], but missing required input(s) ['a','b']. Please provide all required input(s).",
    },
  ])('inputs [$names]', ({ names, message }) => {
    expectInvalid(request(...names), signature, message);
  });
});

describe('strings', () => {
  const four = encodeBytesTensor(['a', 'b', 'c', 'd'].map((text) => Buffer.from(text)));
  const strings = (...texts: (string | Uint8Array)[]): Uint8Array =>
    encodeBytesTensor(texts.map((text) => (typeof text === 'string' ? Buffer.from(text) : text)));

  test.each([
    {
      name: 'a length that is cut off',
      raw: four.subarray(0, 17),
      message: "input 'x' for model 'm': the length of an element is cut off, at byte 15 of 17",
    },
    {
      name: 'an element that is cut off',
      raw: Buffer.concat([four.subarray(0, 15), Buffer.from([5, 0, 0, 0, 1])]),
      message: "input 'x' for model 'm': an element of 5 bytes at byte 15, 1 bytes are left",
    },
    {
      name: 'a length of 4 GiB',
      raw: Buffer.from([255, 255, 255, 255]),
      message: "input 'x' for model 'm': an element of 4294967295 bytes at byte 0, 0 bytes are left",
    },
    {
      name: 'too few elements',
      raw: strings('a', 'b', 'c'),
      message: "expected 4 string elements for inference input 'x' for model 'm', got 3",
    },
    {
      name: 'none',
      raw: new Uint8Array(0),
      message: "expected 4 string elements for inference input 'x' for model 'm', got 0",
    },
    {
      name: 'too many elements',
      raw: strings('a', 'b', 'c', 'd', 'e'),
      message: "unexpected number of string elements 5 for inference input 'x' for model 'm', expecting 4",
    },
    {
      name: 'a NUL byte',
      raw: strings('a', 'b\0c', 'd', 'e'),
      message: "element 1 of input 'x' for model 'm' holds a NUL byte, which a string tensor cannot",
    },
    {
      name: 'a byte that is no UTF-8',
      raw: strings('a', 'b', Uint8Array.of(0xff), 'd'),
      message: "element 2 of input 'x' for model 'm' is not valid UTF-8, which a string tensor must be",
    },
    {
      name: 'a character that is cut off',
      raw: strings('a', 'b', 'c', Buffer.from('é').subarray(0, 1)),
      message: "element 3 of input 'x' for model 'm' is not valid UTF-8, which a string tensor must be",
    },
    {
      name: 'a surrogate',
      raw: strings(Uint8Array.of(0xed, 0xa0, 0x80), 'b', 'c', 'd'),
      message: "element 0 of input 'x' for model 'm' is not valid UTF-8, which a string tensor must be",
    },
  ])('$name', ({ raw, message }) => {
    expectInvalid(rawRequest('BYTES', [1, 4], raw), model('BYTES'), message);
  });

  test('typed strings are held to the same rules', () => {
    const raw = strings('a', 'b\0c', 'd', 'e');
    expect(refusalOf(typedRequest('BYTES', [1, 4], typedContents('BYTES', raw, 4)), model('BYTES')).message).toContain(
      'NUL byte',
    );
  });
});

describe('rows that do not lie on axis 0', () => {
  const signature = signatureOf([
    { ...spec('rate', 'UINT8', [2]), rowAxis: 'shared' },
    spec('x', 'UINT8', [-1, 4]),
    { ...spec('memory', 'UINT8', [2, -1, 3]), rowAxis: 1 },
  ]);
  const ask = (rate: Uint8Array, x: number[], memory: number[]): InferRequest => {
    const sizeOfShape = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);
    return inferRequest({
      inputs: [inferInput('rate', 'UINT8', [2]), inferInput('x', 'UINT8', x), inferInput('memory', 'UINT8', memory)],
      rawInputContents: [rate, new Uint8Array(sizeOfShape(x)), new Uint8Array(sizeOfShape(memory))],
    });
  };

  test('are counted where they lie; what they share is part of the bucket', () => {
    expect(validate(ask(Uint8Array.of(1, 16), [3, 4], [2, 3, 3]), signature)).toMatchObject({
      rows: 3,
      size: { elements: 2 + 4 + 6, length: 1 },
      bucket: '2,0110;4,;2,3,;',
    });
    expect(validate(ask(Uint8Array.of(1, 17), [3, 4], [2, 3, 3]), signature).bucket).toBe('2,0111;4,;2,3,;');
  });

  test('must be as many in each', () => {
    const text = "input 'memory' batch size does not match other inputs for 'm'";
    expectInvalid(ask(new Uint8Array(2), [3, 4], [2, 2, 3]), signature, text);
  });

  test('must be at least one', () => {
    const text = "input 'memory' of model 'm' has no rows: expected a batch size of at least 1, got [2,0,3]";
    expectInvalid(ask(new Uint8Array(2), [1, 4], [2, 0, 3]), signature, text);
  });

  test('mean nothing without batching', () => {
    const whole = { ...signature, batching: WHOLE };
    expect(validate(ask(new Uint8Array(2), [3, 4], [2, 1, 3]), whole)).toMatchObject({
      rows: 1,
      size: { elements: 2 + 12 + 6, length: 3 },
      bucket: '2,;3,4,;2,1,3,;',
    });
  });
});

describe('the size of a row', () => {
  const sizeOfRow = (shape: readonly number[], given: readonly number[]): unknown =>
    validate(
      rawRequest('UINT8', given, new Uint8Array(given.reduce((product, size) => product * size, 1))),
      signatureOf([spec('x', 'UINT8', shape)]),
    ).size;

  test('counts the elements of one row, however many rows come', () => {
    expect(sizeOfRow([-1, 3, 4], [5, 3, 4])).toEqual({ elements: 12, length: 1 });
  });

  test('has the length of the open axis, and of the longest where there are several', () => {
    expect(sizeOfRow([-1, -1, 4], [2, 7, 4])).toEqual({ elements: 28, length: 7 });
    expect(sizeOfRow([-1, 3, -1, -1], [2, 3, 8, 9])).toEqual({ elements: 216, length: 9 });
  });
});

describe('shared memory', () => {
  const where = parameters({
    shared_memory_region: { kind: 'string', value: 'r' },
    shared_memory_byte_size: { kind: 'int64', value: 4n },
  });
  const signature = signatureOf([spec('a', 'UINT8', [-1]), spec('b', 'UINT8', [-1])]);

  test.each([
    { name: 'with no contents beside it', rawInputContents: [] },
    { name: 'with the raw contents of the other input beside it', rawInputContents: [new Uint8Array(1)] },
  ])('is refused as such, $name', ({ rawInputContents }) => {
    const inputs = [inferInput('a', 'UINT8', [1], { parameters: where }), inferInput('b', 'UINT8', [1])];
    expect(refusalOf(inferRequest({ inputs, rawInputContents }), signature)).toEqual({
      reason: 'unimplemented',
      message: "'shared_memory_region' of tensor 'a': shared memory is not offered; send the contents",
    });
  });
});

test('a request is accepted exactly where a plain reading of the rules says so', () => {
  const shapes = fc.array(fc.constantFrom(-1, 0, 1, 2, 3, 4, 2 ** 31), { maxLength: 3 });
  const cases = fc.record({
    wanted: fc.constantFrom<Datatype>('UINT8', 'FP32', 'BOOL'),
    given: fc.constantFrom<Datatype>('UINT8', 'FP32', 'BOOL'),
    axes: fc.array(fc.constantFrom(-1, 2, 3), { minLength: 1, maxLength: 3 }).map((axes) => [-1, ...axes.slice(1)]),
    shape: shapes,
    surplus: fc.constantFrom(0, 0, 0, -1, 1),
    byte: fc.constantFrom(0, 1, 2),
    batches: fc.boolean(),
  });
  let accepted = 0;
  fc.assert(
    fc.property(cases, ({ wanted, given, axes, shape, surplus, byte, batches }) => {
      const elements = shape.reduce((product, size) => product * size, 1);
      const length = Math.min(10_000, Math.max(0, elements * sizeOf(given) + surplus));
      const signature = signatureOf([spec('x', wanted, axes)], batches ? {} : { batching: WHOLE });
      const fits =
        wanted === given &&
        shape.length === axes.length &&
        shape.every((size, at) => size >= 0 && size < 2 ** 31 && (axes[at] === -1 || axes[at] === size)) &&
        (!batches || ((shape[0] ?? 0) >= 1 && (shape[0] ?? 0) <= 8)) &&
        length === elements * sizeOf(given) &&
        (given !== 'BOOL' || length === 0 || byte <= 1);
      let isAccepted = true;
      try {
        validate(rawRequest(given, shape, new Uint8Array(length).fill(byte)), signature);
        accepted++;
      } catch (error) {
        expect(error).toBeInstanceOf(InferError);
        isAccepted = false;
      }
      expect(isAccepted).toBe(fits);
    }),
    { numRuns: 20_000 },
  );
  expect(accepted).toBeGreaterThan(100);
});

describe('inputs with a default', () => {
  const floats = (...values: readonly number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);
  const FACTOR = { shape: [2], data: floats(2, 3) };
  const BIAS = { shape: [1, 2], data: floats(7, 8) };
  const OPTIONAL = signatureOf([
    spec('x', 'FP32', [-1, 2]),
    { ...spec('factor', 'FP32', [2]), rowAxis: 'shared', default: FACTOR },
    { ...spec('bias', 'FP32', [-1, 2]), default: BIAS },
  ]);
  const request = (given: ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: Uint8Array }>) =>
    inferRequest({
      inputs: [...given].map(([name, { shape }]) => inferInput(name, 'FP32', shape)),
      rawInputContents: [...given.values()].map(({ data }) => data),
    });

  test('are completed in any order and number of rows, and only equal shared values share a batch', () => {
    const pair = fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 3 }));
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.option(pair, { nil: undefined }),
        fc.boolean(),
        fc.shuffledSubarray(['x', 'factor', 'bias'], { minLength: 3 }),
        (rows, factor, hasBias, order) => {
          const rowsOf = (first: number) =>
            floats(...Array.from({ length: rows }, (_, row) => [first + row, row]).flat());
          const all = {
            x: { shape: [rows, 2], data: rowsOf(1) },
            factor: factor && { shape: [2], data: floats(...factor) },
            bias: hasBias ? { shape: [rows, 2], data: rowsOf(5) } : undefined,
          };
          const given = new Map(
            order.flatMap((name) => {
              const tensor = all[name as keyof typeof all];
              return tensor === undefined ? [] : [[name, tensor] as const];
            }),
          );
          const tensors = validate(request(given), OPTIONAL);
          const repeated = Buffer.concat(Array.from({ length: rows }, () => BIAS.data));
          expect(tensors.inputs.map((each) => Buffer.from(bytesOf(each)).toString('hex'))).toEqual(
            [all.x.data, all.factor?.data ?? FACTOR.data, all.bias?.data ?? repeated].map((each) =>
              Buffer.from(each).toString('hex'),
            ),
          );
          expect(tensors.shapes).toEqual([[rows, 2], [2], [rows, 2]]);
          expect(tensors.bytes).toBe(tensors.inputs.reduce((sum, { byteLength }) => sum + byteLength, 0));
          const plain = validate(request(new Map([['x', all.x]])), OPTIONAL);
          expect(tensors.bucket === plain.bucket).toBe(factor === undefined || String(factor) === '2,3');
        },
      ),
    );
  });

  test('are not asked for where a required input is missing', () => {
    expectInvalid(
      request(new Map([['bias', { shape: [1, 2], data: floats(1, 2) }]])),
      OPTIONAL,
      "expected number of inputs between 1 and 3 but got 1 inputs for model 'm'. Got input(s) ['bias'], but missing required input(s) ['x']. Please provide all required input(s).",
    );
  });
});
