import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { encodeBytesTensor } from '../../src/wire/bytes-tensor.ts';
import { decodeInferRequest } from '../../src/wire/infer-request.ts';
import { DEFAULT_WIRE_LIMITS } from '../../src/wire/limits.ts';
import type { Datatype } from '../../src/wire/tensor.ts';
import {
  TypedContentsError,
  type TypedContentsProblem,
  TypedContentsReading,
  type TypedDatatype,
  typedToRaw,
} from '../../src/wire/typed-contents.ts';
import { rawToTyped, TypedContentsWriting } from '../../src/wire/typed-contents-writing.ts';
import { hex } from './hex.ts';
import { encodeReference, toLong } from './reference-messages.ts';

type ArrayType<T> = { from(values: T[]): { buffer: ArrayBufferLike } };

interface Kind {
  readonly datatype: TypedDatatype;
  /** The field by its name in protobufjs. */
  readonly field: string;
  readonly value: fc.Arbitrary<unknown>;
  /** A value as protobufjs wants it. */
  readonly toReference: (value: never) => unknown;
  readonly toRaw: (values: never[]) => Uint8Array;
}

/** Raw form by a typed array: right on the little-endian machines that Node runs on. */
function rawBy<T>(arrayType: ArrayType<T>): (values: T[]) => Uint8Array {
  return (values) => new Uint8Array(arrayType.from(values).buffer);
}

const same = (value: unknown): unknown => value;
const kinds: Kind[] = [
  {
    datatype: 'BOOL',
    field: 'boolContents',
    value: fc.boolean(),
    toReference: same,
    toRaw: (values: boolean[]) => Uint8Array.from(values, Number),
  },
  integers('INT8', 'intContents', Int8Array, fc.integer({ min: -0x80, max: 0x7f })),
  integers('INT16', 'intContents', Int16Array, fc.integer({ min: -0x8000, max: 0x7fff })),
  integers('INT32', 'intContents', Int32Array, fc.integer()),
  integers('UINT8', 'uintContents', Uint8Array, fc.integer({ min: 0, max: 0xff })),
  integers('UINT16', 'uintContents', Uint16Array, fc.integer({ min: 0, max: 0xffff })),
  integers('UINT32', 'uintContents', Uint32Array, fc.integer({ min: 0, max: 0xffffffff })),
  {
    datatype: 'INT64',
    field: 'int64Contents',
    value: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    toReference: (value: bigint) => toLong(value, false),
    toRaw: rawBy<bigint>(BigInt64Array),
  },
  {
    datatype: 'UINT64',
    field: 'uint64Contents',
    value: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    toReference: (value: bigint) => toLong(value, true),
    toRaw: rawBy<bigint>(BigUint64Array),
  },
  { datatype: 'FP32', field: 'fp32Contents', value: fc.float(), toReference: same, toRaw: rawBy<number>(Float32Array) },
  {
    datatype: 'FP64',
    field: 'fp64Contents',
    value: fc.double(),
    toReference: same,
    toRaw: rawBy<number>(Float64Array),
  },
  {
    datatype: 'BYTES',
    field: 'bytesContents',
    value: fc.uint8Array({ maxLength: 100 }),
    toReference: same,
    toRaw: encodeBytesTensor,
  },
];

function integers(
  datatype: TypedDatatype,
  field: string,
  arrayType: ArrayType<number>,
  value: fc.Arbitrary<number>,
): Kind {
  return { datatype, field, value, toReference: same, toRaw: rawBy<number>(arrayType) };
}

const NOTHING = new Uint8Array(0);

/** What a request decodes to whose one input has these contents. */
function receive(contents: Uint8Array): Uint8Array {
  const tensor = Buffer.concat([varintField(5, contents.length), contents]);
  const message = Buffer.concat([varintField(5, tensor.length), tensor]);
  return decodeInferRequest(message, DEFAULT_WIRE_LIMITS).inputs[0]?.contents ?? expect.unreachable();
}

function varintField(field: number, length: number): Uint8Array {
  const bytes = [(field << 3) | 2];
  let rest = length;
  for (; rest > 127; rest >>>= 7) bytes.push((rest & 127) | 128);
  return Uint8Array.from([...bytes, rest]);
}

function problem(run: () => unknown): TypedContentsProblem | undefined {
  try {
    run();
  } catch (error) {
    if (error instanceof TypedContentsError) return error.problem;
    throw error;
  }
  return undefined;
}

describe.each(kinds)('$datatype', ({ datatype, field, value, toReference, toRaw }) => {
  const values = fc.array(value as fc.Arbitrary<never>, { maxLength: 40 });
  const encode = (message: 'InferTensorContents' | 'UnpackedTensorContents', part: never[]): Uint8Array =>
    encodeReference(message, { [field]: part.map(toReference) });

  test('packed contents of protobufjs become the raw form, and the raw form becomes them', () => {
    fc.assert(
      fc.property(values, (elements) => {
        const encoded = encode('InferTensorContents', elements);
        const contents = receive(encoded);
        const raw = toRaw(elements);
        expect(Buffer.compare(contents, encoded)).toBe(0);
        expect(Buffer.compare(typedToRaw(contents, datatype, elements.length), raw)).toBe(0);
        expect(Buffer.compare(Buffer.concat(rawToTyped(raw, datatype, elements.length)), encoded)).toBe(0);
      }),
    );
  });

  test('unpacked contents and contents in several parts do so too', () => {
    fc.assert(
      fc.property(values, values, values, (first, second, third) => {
        const contents = receive(
          Buffer.concat([
            encode('InferTensorContents', first),
            hex('a20601aa'),
            encode('UnpackedTensorContents', second),
            encode('InferTensorContents', third),
          ]),
        );
        const elements = [...first, ...second, ...third];
        expect(Buffer.compare(typedToRaw(contents, datatype, elements.length), toRaw(elements))).toBe(0);
      }),
    );
  });

  test('read and written a few elements at a time they are the same', () => {
    fc.assert(
      fc.property(values, values, fc.integer({ min: 1, max: 7 }), (first, second, few) => {
        const parts = [encode('InferTensorContents', first), encode('UnpackedTensorContents', second)];
        const elements = [...first, ...second];
        const reading = new TypedContentsReading(Buffer.concat(parts), datatype, elements.length);
        const writing = new TypedContentsWriting(toRaw(elements), datatype, elements.length);
        let slices = 0;
        while (!reading.advance(few)) slices += 1;
        expect(slices).toBeLessThanOrEqual(elements.length + 2);
        while (!writing.advance(few));
        expect(Buffer.compare(reading.finish(), toRaw(elements))).toBe(0);
        expect(Buffer.compare(Buffer.concat(writing.finish()), encode('InferTensorContents', elements))).toBe(0);
      }),
    );
  });

  test('another number of elements is refused before anything is made', () => {
    const one = fc.sample(value as fc.Arbitrary<never>, { numRuns: 1, seed: 1 });
    const contents = receive(encode('InferTensorContents', one));
    for (const expected of [0, 2, 2 ** 53 - 1]) {
      expect(problem(() => typedToRaw(contents, datatype, expected))).toEqual({ kind: 'count', got: 1, expected });
    }
    expect(problem(() => typedToRaw(NOTHING, datatype, 1))).toEqual({ kind: 'count', got: 0, expected: 1 });
  });

  test('no elements are an empty tensor', () => {
    expect(typedToRaw(NOTHING, datatype, 0)).toEqual(new Uint8Array(0));
    expect(rawToTyped(new Uint8Array(0), datatype, 0)).toEqual([]);
  });
});

describe('FP32 and FP64', () => {
  test.each([
    ['FP32', '3208 0000c07f 010000ff'],
    ['FP64', '3a10 000000000000f87f 0100000000000080'],
  ] as const)('one packed run of %s is a view, with its NaNs and subnormals as they were', (datatype, digits) => {
    const contents = receive(hex(digits));
    const raw = typedToRaw(contents, datatype, 2);
    expect(raw.buffer).toBe(contents.buffer);
    expect(Buffer.compare(raw, hex(digits).subarray(2))).toBe(0);
    expect(rawToTyped(raw, datatype, 2)[1]).toBe(raw);
  });

  test('a long run among several parts is copied whole', () => {
    const parts = [new Float32Array(100).fill(1.5), new Float32Array(100).fill(-2)];
    const encoded = parts.map((part) => encodeReference('InferTensorContents', { fp32Contents: [...part] }));
    expect(new Float32Array(typedToRaw(receive(Buffer.concat(encoded)), 'FP32', 200).buffer)).toEqual(
      Float32Array.from(parts.flatMap((part) => [...part])),
    );
  });
});

describe('integers', () => {
  test.each([
    ['INT8', 'intContents', 128],
    ['INT8', 'intContents', -129],
    ['INT8', 'intContents', 2 ** 31 - 1],
    ['INT16', 'intContents', 32_768],
    ['INT16', 'intContents', -32_769],
    ['UINT8', 'uintContents', 256],
    ['UINT8', 'uintContents', 2 ** 32 - 1],
    ['UINT16', 'uintContents', 65_536],
  ] as const)('a %s cannot be %s %d', (datatype, field, value) => {
    const contents = receive(encodeReference('InferTensorContents', { [field]: [1, value, value] }));
    expect(problem(() => typedToRaw(contents, datatype, 3))).toEqual({ kind: 'range', value, index: 1 });
  });

  test('a varint too wide for int32, uint32 or bool counts as protobuf says', () => {
    const wide = '058584808010';
    expect(typedToRaw(receive(hex('12 06', wide)), 'INT32', 2)).toEqual(Uint8Array.of(5, 0, 0, 0, 5, 2, 0, 0));
    expect(typedToRaw(receive(hex('22 06', wide)), 'UINT32', 2)).toEqual(Uint8Array.of(5, 0, 0, 0, 5, 2, 0, 0));
    expect(typedToRaw(receive(hex('0a 07 00 02 8080808010')), 'BOOL', 3)).toEqual(Uint8Array.of(0, 1, 1));
  });

  test('a BOOL of any raw byte but 0 is true', () => {
    expect(Buffer.concat(rawToTyped(Uint8Array.of(0, 1, 2, 255), 'BOOL', 4))).toEqual(hex('0a04 00010101'));
  });
});

describe('the wrong field', () => {
  const fields: [Datatype, string][] = [
    ['BOOL', '0a0101'],
    ['INT32', '120101'],
    ['INT64', '1a0101'],
    ['UINT32', '220101'],
    ['UINT64', '2a0101'],
    ['FP32', '320400000000'],
    ['FP64', '3a080000000000000000'],
    ['BYTES', '4200'],
  ];
  const widened: Partial<Record<Datatype, Datatype>> = {
    INT8: 'INT32',
    INT16: 'INT32',
    UINT8: 'UINT32',
    UINT16: 'UINT32',
  };
  const datatypes: Datatype[] = [
    ...fields.map(([datatype]) => datatype),
    'INT8',
    'INT16',
    'UINT8',
    'UINT16',
    'FP16',
    'BF16',
  ];

  test.each(fields)('contents that are %s fit the datatypes of that field and no other', (found, digits) => {
    const contents = receive(hex(digits));
    for (const datatype of datatypes) {
      const isRight = (widened[datatype] ?? datatype) === found;
      expect(
        problem(() => typedToRaw(contents, datatype, 1)),
        datatype,
      ).toEqual(isRight ? undefined : { kind: 'wrong_field', datatype: found });
    }
  });

  test('elements in two fields are refused, and the field that does not fit is named', () => {
    const contents = receive(hex('120101 320400000000'));
    expect(problem(() => typedToRaw(contents, 'FP32', 2))).toEqual({ kind: 'wrong_field', datatype: 'INT32' });
    expect(problem(() => typedToRaw(contents, 'INT32', 2))).toEqual({ kind: 'wrong_field', datatype: 'FP32' });
  });

  test('a field without elements is no field', () => {
    expect(typedToRaw(receive(hex('1200 320400000000 1200')), 'FP32', 1)).toEqual(new Uint8Array(4));
  });

  test('FP16 and BF16 have no typed form but the empty one', () => {
    expect(problem(() => typedToRaw(NOTHING, 'FP16', 1))).toEqual({ kind: 'count', got: 0, expected: 1 });
    expect(typedToRaw(NOTHING, 'BF16', 0)).toEqual(new Uint8Array(0));
  });
});

test('a raw tensor of another size has no typed form', () => {
  expect(() => rawToTyped(new Uint8Array(7), 'FP32', 2)).toThrow(RangeError);
  expect(() => rawToTyped(new Uint8Array(8), 'INT64', 2)).toThrow(RangeError);
  expect(() => rawToTyped(hex('0100000061'), 'BYTES', 2)).toThrow('1 elements, expected 2');
});
