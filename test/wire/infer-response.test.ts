import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { encodeBytesTensor } from '../../src/wire/bytes-tensor.ts';
import { NO_PARAMETERS } from '../../src/wire/infer-parameter.ts';
import {
  decodeInferResponse,
  decodeStreamResponse,
  encodeInferResponse,
  encodeStreamResponse,
  type InferOutput,
  type InferResponse,
} from '../../src/wire/infer-response.ts';
import { DEFAULT_WIRE_LIMITS, WireError } from '../../src/wire/limits.ts';
import { DATATYPE_BYTES, type Datatype } from '../../src/wire/tensor.ts';
import { parameters, text } from './arbitrary-messages.ts';
import { hex, nest } from './hex.ts';
import { decodeReference, encodeReference, type Plain, toLong, toReferenceParameters } from './reference-messages.ts';

const limits = { ...DEFAULT_WIRE_LIMITS, maxParameterBytes: 100_000 };

const datatypes = Object.keys(DATATYPE_BYTES) as Datatype[];
const typedDatatypes = datatypes.filter((datatype) => datatype !== 'FP16' && datatype !== 'BF16');

function output(from: readonly Datatype[]): fc.Arbitrary<InferOutput> {
  return fc
    .tuple(fc.constantFrom(...from), fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }))
    .chain(([datatype, shape]) =>
      fc.record({
        name: text,
        datatype: fc.constant(datatype),
        shape: fc.constant(shape),
        parameters,
        data: data(datatype, shape),
      }),
    );
}

/** The raw form of a tensor. */
function data(datatype: Datatype, shape: readonly number[]): fc.Arbitrary<Uint8Array> {
  const elements = shape.reduce((product, size) => product * size, 1);
  const size = DATATYPE_BYTES[datatype];
  if (size === undefined) {
    const element = fc.uint8Array({ maxLength: 10 });
    return fc.array(element, { minLength: elements, maxLength: elements }).map(encodeBytesTensor);
  }
  // Not any bytes: protobufjs turns signalling NaNs into quiet ones.
  if (datatype === 'FP32' || datatype === 'FP64') {
    const arrayType = datatype === 'FP32' ? Float32Array : Float64Array;
    const values = fc.array(fc.float(), { minLength: elements, maxLength: elements });
    return values.map((numbers) => new Uint8Array(arrayType.from(numbers).buffer));
  }
  const bytes = fc.uint8Array({ minLength: elements * size, maxLength: elements * size });
  return datatype === 'BOOL' ? bytes.map((values) => values.map((value) => value & 1)) : bytes;
}

function response(from: readonly Datatype[]): fc.Arbitrary<InferResponse> {
  return fc.record({
    modelName: text,
    modelVersion: text,
    id: text,
    parameters,
    outputs: fc.array(output(from), { maxLength: 4 }),
  });
}

describe('against protobufjs', () => {
  test('a raw answer has the same bytes', () => {
    fc.assert(
      fc.property(response(datatypes), (answer) => {
        const encoded = Buffer.concat(encodeInferResponse(answer, 'raw'));
        expect(encoded.equals(encodeReference('ModelInferResponse', toReference(answer)))).toBe(true);
      }),
    );
  });

  test('a typed answer has no raw contents, and is encoded by it as we encode it', () => {
    fc.assert(
      fc.property(response(typedDatatypes), (answer) => {
        const encoded = Buffer.concat(encodeInferResponse(answer, 'typed'));
        const decoded = decodeReference('ModelInferResponse', encoded);
        expect(decoded['rawOutputContents']).toEqual([]);
        expect((decoded['outputs'] as Plain[]).every((tensor) => tensor['contents'] !== null)).toBe(true);
        expect(encodeReference('ModelInferResponse', decoded)).toEqual(encoded);
      }),
    );
  });

  test('an answer of either form decodes to the same values', () => {
    fc.assert(
      fc.property(response(datatypes), fc.constantFrom('raw' as const, 'typed' as const), (answer, form) => {
        expect(decodeInferResponse(Buffer.concat(encodeInferResponse(answer, form)), limits)).toEqual(answer);
      }),
    );
  });
});

describe('encoding', () => {
  const float = { name: 'y', datatype: 'FP32', shape: [1], data: Uint8Array.of(0, 0, 0x80, 0x3f) } as const;
  const answer: InferResponse = {
    modelName: 'm',
    modelVersion: '1',
    id: '',
    parameters: NO_PARAMETERS,
    outputs: [float],
  };

  test.each(['raw', 'typed'] as const)('the data of a %s answer is not copied', (form) => {
    expect(encodeInferResponse(answer, form).filter((chunk) => chunk === float.data)).toHaveLength(1);
  });

  test('a typed answer has its elements in the contents', () => {
    const decoded = decodeReference('ModelInferResponse', Buffer.concat(encodeInferResponse(answer, 'typed')));
    expect((decoded['outputs'] as { contents: Plain }[])[0]?.contents['fp32Contents']).toEqual([1]);
  });

  test.each(['FP16', 'BF16'] as const)('with an output of %s the whole answer is raw', (datatype) => {
    const half = { name: 'h', datatype, shape: [1], data: Uint8Array.of(0, 0x3c) };
    const mixed = { ...answer, outputs: [float, half] };
    expect(encodeInferResponse(mixed, 'typed')).toEqual(encodeInferResponse(mixed, 'raw'));
  });

  test('an empty tensor has a raw entry, and one that is empty', () => {
    const empty = { ...answer, outputs: [{ ...float, shape: [0], data: new Uint8Array(0) }, float] };
    const decoded = decodeReference('ModelInferResponse', Buffer.concat(encodeInferResponse(empty, 'raw')));
    expect((decoded['rawOutputContents'] as Uint8Array[]).map((raw) => raw.length)).toEqual([0, 4]);
  });
});

describe('decoding', () => {
  const tensor = (datatype: string, shape: string, contents = ''): string =>
    nest(5, `${nest(2, Buffer.from(datatype).toString('hex'))}${nest(3, shape)}${contents}`);

  test.each([
    ['fewer raw contents than outputs', `${tensor('INT8', '01')}${tensor('INT8', '01')}320101`],
    ['more raw contents than outputs', `${tensor('INT8', '01')}320101 320101`],
    ['raw and typed contents', `${tensor('INT32', '01', '2a03120101')}320401000000`],
    ['an unknown datatype', `${tensor('FP8', '01')}320101`],
    ['a datatype of the prototype', `${tensor('toString', '01')}320101`],
    ['a negative size', `${tensor('INT8', 'ffffffffffffffffff01')}320101`],
    ['more elements than can be counted', `${tensor('INT8', 'ffffffffffffffff7f02')}320101`],
    ['fewer raw bytes than the shape', `${tensor('INT32', '02')}320401000000`],
    ['more raw bytes than the shape', `${tensor('INT8', '01')}32020101`],
    ['no elements at all', tensor('INT8', '01')],
    ['typed elements in the wrong field', tensor('FP32', '01', '2a03120101')],
    ['fewer typed elements than the shape', tensor('INT32', '02', '2a03120101')],
    ['a typed value out of range', tensor('INT8', '01', '2a0412028001')],
    ['fewer strings than the shape', `${tensor('BYTES', '02')}320400000000`],
    ['a string past the end', `${tensor('BYTES', '01')}320401000000`],
    ['contents twice', tensor('INT32', '01', '2a03120101 2a00')],
    ['a wrong wire type', '3001'],
    ['field number 0', '0001'],
    ['a text that is not UTF-8', '0a01ff'],
  ])('%s is refused', (_name, message) => {
    expect(() => decodeInferResponse(hex(message), limits)).toThrow(WireError);
    expect(catchKind(() => decodeInferResponse(hex(message), limits))).toBe('malformed');
  });

  test('outputs and raw contents are limited', () => {
    const small = { ...limits, maxOutputs: 2 };
    const one = `${tensor('INT8', '01')}`;
    expect(catchKind(() => decodeInferResponse(hex(one.repeat(2), '320101'.repeat(2)), small))).toBeUndefined();
    expect(catchKind(() => decodeInferResponse(hex(one.repeat(3), '320101'.repeat(3)), small))).toBe('limit');
    expect(catchKind(() => decodeInferResponse(hex('320101'.repeat(3)), small))).toBe('limit');
  });

  test('an output without data is one without elements', () => {
    expect(decodeInferResponse(hex(tensor('INT8', '00')), limits).outputs[0]?.data).toEqual(new Uint8Array(0));
  });
});

describe('stream messages', () => {
  test('an answer keeps its chunks, and reads as the answer', () => {
    fc.assert(
      fc.property(response(datatypes), (answer) => {
        const chunks = encodeInferResponse(answer, 'raw');
        const message = encodeStreamResponse({ response: chunks });
        expect(message.slice(message.length - chunks.length)).toEqual(chunks);
        const encoded = Buffer.concat(message);
        expect(
          encoded.equals(encodeReference('ModelStreamInferResponse', { inferResponse: toReference(answer) })),
        ).toBe(true);
        expect(decodeStreamResponse(encoded, limits)).toEqual({ errorMessage: '', response: answer });
      }),
    );
  });

  test('an error carries the id of its request in an otherwise empty answer', () => {
    fc.assert(
      fc.property(text, text, (errorMessage, id) => {
        const encoded = Buffer.concat(encodeStreamResponse({ errorMessage, id, parameters: NO_PARAMETERS }));
        expect(decodeReference('ModelStreamInferResponse', encoded)).toMatchObject({
          errorMessage,
          inferResponse: { id },
        });
        const response = { modelName: '', modelVersion: '', id, parameters: new Map(), outputs: [] };
        expect(decodeStreamResponse(encoded, limits)).toEqual({ errorMessage, response });
      }),
    );
  });

  test('an error without an answer is read too', () => {
    expect(decodeStreamResponse(hex('0a026e6f'), limits)).toEqual({ errorMessage: 'no', response: undefined });
    expect(decodeStreamResponse(hex('0a0161 0a0162'), limits).errorMessage).toBe('b');
  });

  test.each([
    ['two answers', '1200 1200'],
    ['an answer past the end', '1201'],
    ['a wrong wire type on the error', '0801'],
    ['a wrong wire type on the answer', '1001'],
    ['an error that is not UTF-8', '0a01ff'],
    ['a malformed answer', '12020001'],
  ])('%s is refused', (_name, message) => {
    expect(catchKind(() => decodeStreamResponse(hex(message), limits))).toBe('malformed');
  });
});

function catchKind(run: () => unknown): string | undefined {
  try {
    run();
  } catch (error) {
    if (error instanceof WireError) return error.kind;
    throw error;
  }
  return undefined;
}

/** Leaves out what proto3 leaves out, because protobufjs does not. */
function toReference(answer: InferResponse): Plain {
  return {
    ...(answer.modelName === '' ? {} : { modelName: answer.modelName }),
    ...(answer.modelVersion === '' ? {} : { modelVersion: answer.modelVersion }),
    ...(answer.id === '' ? {} : { id: answer.id }),
    parameters: toReferenceParameters(answer.parameters),
    outputs: answer.outputs.map((tensor) => ({
      ...(tensor.name === '' ? {} : { name: tensor.name }),
      datatype: tensor.datatype,
      shape: tensor.shape.map((size) => toLong(size, false)),
      parameters: toReferenceParameters(tensor.parameters ?? NO_PARAMETERS),
    })),
    rawOutputContents: answer.outputs.map((tensor) => tensor.data),
  };
}
