/** Whatever a request holds, its parts joined again are the request, byte by byte. */

import { describe, expect, test } from 'vitest';
import { axisOf, bucketKey, type InferTensors, rowSizeOf } from '../../../../src/gateway/admit/infer-tensors.ts';
import { outputAxes } from '../../../../src/gateway/batch/batch.ts';
import { cutRows } from '../../../../src/gateway/batch/split/row-cut.ts';
import { RowJoin } from '../../../../src/gateway/batch/split/row-join.ts';
import type { ModelTensor, RowAxis } from '../../../../src/gateway/repository/signature/row-axis.ts';
import { encodeBytesTensor } from '../../../../src/wire/bytes-tensor.ts';
import { DATATYPE_BYTES, type Datatype } from '../../../../src/wire/tensor.ts';
import { bytesOf } from '../../../../src/wire/tensor-bytes.ts';
import { below, pick, type Random, randomBytes, randomFrom } from '../../../support/random.ts';

const DATATYPES = [...(Object.keys(DATATYPE_BYTES) as Datatype[]), 'BYTES'] as readonly Datatype[];
const NO_LIMIT = Number.POSITIVE_INFINITY;

function inputOf(name: string, random: Random): ModelTensor {
  const datatype = pick(DATATYPES, random);
  const dims = Array.from({ length: below(3, random) }, () => below(4, random));
  // Texts are only stacked along axis 0.
  const axes: readonly RowAxis[] = datatype === 'BYTES' ? [0] : [0, 0, dims.length, 'shared'];
  const rowAxis = pick(axes, random);
  return { name, datatype, rowAxis, shape: rowAxis === 'shared' ? dims : dims.toSpliced(rowAxis, 0, -1) };
}

function contentOf(datatype: Datatype, elements: number, random: Random): Uint8Array {
  if (datatype !== 'BYTES') return randomBytes((DATATYPE_BYTES[datatype] ?? 0) * elements, random);
  return encodeBytesTensor(Array.from({ length: elements }, () => randomBytes(below(9, random), random)));
}

function requestOf(inputs: readonly ModelTensor[], rows: number, random: Random): InferTensors {
  const shapes = inputs.map(({ shape }) => shape.map((size) => (size === -1 ? rows : size)));
  const values = inputs.map(({ datatype }, index) => {
    const elements = (shapes[index] ?? []).reduce((product, size) => product * size, 1);
    return contentOf(datatype, elements, random);
  });
  return {
    requestId: 'r',
    rows,
    size: rowSizeOf(shapes, 'rows', inputs),
    bytes: values.reduce((sum, { byteLength }) => sum + byteLength, 0),
    bucket: bucketKey(shapes, 'rows', inputs, values),
    inputs: values,
    shapes,
  };
}

interface Given {
  readonly inputs: readonly ModelTensor[];
  readonly request: InferTensors;
  readonly maxRows: number;
  readonly random: Random;
}

/** What a model answers that gives its inputs as its outputs. */
function echoed({ inputs }: Pick<Given, 'inputs'>, tensors: InferTensors) {
  return inputs.map(({ name, datatype }, index) => {
    return {
      name,
      datatype,
      shape: tensors.shapes[index] ?? [],
      data: bytesOf(tensors.inputs[index] ?? new Uint8Array()),
    };
  });
}

function given(seed: number): Given {
  const random = randomFrom(seed);
  const inputs = Array.from({ length: 1 + below(3, random) }, (_, index) => inputOf(`i${index}`, random));
  const maxRows = 1 + below(5, random);
  const request = requestOf(inputs, maxRows + 1 + below(12, random), random);
  return { inputs, request, maxRows, random };
}

describe.each(Array.from({ length: 200 }, (_, seed) => seed + 1))('a random request (seed %i)', (seed) => {
  test('is cut into full parts and a rest, which share a batch with requests of its kind', () => {
    const { inputs, request, maxRows } = given(seed);
    const parts = cutRows(request, { inputs, maxRows });
    expect(parts.map(({ rows }) => rows).slice(0, -1)).toEqual(parts.slice(1).map(() => maxRows));
    expect(parts.reduce((sum, { rows }) => sum + rows, 0)).toBe(request.rows);
    for (const part of parts) {
      expect(part).toMatchObject({ requestId: 'r', bucket: request.bucket, size: request.size });
      expect(rowSizeOf(part.shapes, axisOf({ kind: 'on', maxRows }), inputs)).toEqual(part.size);
      expect(bucketKey(part.shapes, 'rows', inputs, part.inputs)).toBe(part.bucket);
      expect(part.bytes).toBe(part.inputs.reduce((sum, { byteLength }) => sum + byteLength, 0));
    }
  });

  test('has the same bytes after its parts are joined, in whatever order they are answered', () => {
    const { inputs, request, maxRows, random } = given(seed);
    const axes = outputAxes(inputs.map((input) => ({ ...input, labelFilename: undefined, labels: [] })));
    const joined = new RowJoin({ rows: request.rows, axes, wanted: undefined, maxOutputBytes: NO_LIMIT });
    const parts = cutRows(request, { inputs, maxRows }).map((part, index) => ({ part, from: index * maxRows }));
    const shuffled = parts.map((value) => ({ value, key: random() })).sort((a, b) => a.key - b.key);
    for (const { value } of shuffled) joined.add(value.from, value.part.rows, echoed({ inputs }, value.part));
    const outputs = joined.finish();
    for (const [index, wanted] of echoed({ inputs }, request).entries()) {
      expect(outputs[index]).toMatchObject({ name: wanted.name, datatype: wanted.datatype, shape: wanted.shape });
      expect(Buffer.compare(outputs[index]?.data ?? Buffer.alloc(0), wanted.data)).toBe(0);
    }
  });
});

test('rows on axis 0 are not copied: the parts are views of the request', () => {
  const inputs: readonly ModelTensor[] = [
    { name: 'x', datatype: 'FP32', shape: [-1, 4] },
    { name: 's', datatype: 'BYTES', shape: [-1, 1] },
  ];
  const request = requestOf(inputs, 10, randomFrom(1));
  for (const part of cutRows(request, { inputs, maxRows: 4 })) {
    for (const [index, value] of part.inputs.entries())
      expect(bytesOf(value).buffer).toBe(bytesOf(request.inputs[index] ?? new Uint8Array()).buffer);
  }
});

describe('joining parts', () => {
  const part = (shape: readonly number[], elements: number) => [
    { name: 'y', datatype: 'FP32' as const, shape, data: new Uint8Array(4 * elements) },
    { name: 'z', datatype: 'FP32' as const, shape: [shape[0] ?? 0, 1], data: new Uint8Array(4 * (shape[0] ?? 0)) },
  ];
  const join = (maxOutputBytes = NO_LIMIT, wanted?: readonly string[]) =>
    new RowJoin({
      rows: 4,
      axes: new Map(),
      wanted: wanted?.map((name) => ({ spec: { name } })),
      maxOutputBytes,
    });

  test('keeps only the outputs that are read', () => {
    const joined = join(NO_LIMIT, ['z']);
    for (const from of [0, 2]) joined.add(from, 2, part([2, 3], 6));
    expect(joined.finish().map(({ name, shape }) => ({ name, shape }))).toEqual([{ name: 'z', shape: [4, 1] }]);
  });

  test('refuses outputs that are too large for one request by the first part, before it takes memory', () => {
    expect(() => join(63).add(0, 2, part([2, 3], 6))).toThrow(
      "output 'y' of shape [4,3] has 48 bytes, all outputs have 64: the outputs of a request may have 63 (maxOutputBytes)",
    );
    expect(() => join(64).add(0, 2, part([2, 3], 6))).not.toThrow();
  });

  test('refuses texts as soon as they are too large together', () => {
    const joined = join(20);
    const texts = [{ name: 's', datatype: 'BYTES' as const, shape: [2, 1], data: encodeBytesTensor([A, A]) }];
    joined.add(0, 2, texts);
    expect(() => joined.add(2, 2, texts)).toThrow(/'s' of shape \[4,1\] has 28 bytes.*maxOutputBytes/);
  });

  test('refuses outputs whose other sizes differ from part to part', () => {
    const joined = join();
    joined.add(0, 2, part([2, 3], 6));
    expect(() => joined.add(2, 2, part([2, 5], 10))).toThrow(
      expect.objectContaining({ reason: 'invalid_request', message: expect.stringContaining('[2,3] and [2,5]') }),
    );
  });

  test('blames the model for an output without the rows of the part', () => {
    expect(() => join().add(0, 2, part([3, 3], 9))).toThrow('its first axis is no batch axis');
  });
});

const A = Buffer.from('abc');
