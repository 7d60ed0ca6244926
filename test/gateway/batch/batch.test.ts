import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type InferTensors, UNIT_ROW } from '../../../src/gateway/admit/infer-tensors.ts';
import { gather, outputAxes, scatter, type TensorBatch } from '../../../src/gateway/batch/batch.ts';
import type { OutputTensor } from '../../../src/gateway/batch/queued-request.ts';
import { encodeBytesTensor } from '../../../src/wire/bytes-tensor.ts';
import { DATATYPE_BYTES, type Datatype, type TensorSpec } from '../../../src/wire/tensor.ts';
import { bytesOf } from '../../../src/wire/tensor-bytes.ts';
import { TENSOR_ALIGNMENT } from '../../../src/worker/protocol.ts';

function batchOf(requests: readonly InferTensors[]): TensorBatch {
  return {
    requests: requests.map((tensors) => ({ tensors })),
    rows: requests.reduce((sum, { rows }) => sum + rows, 0),
  };
}

function tensors(rows: number, inputs: readonly Uint8Array[], shapes: readonly (readonly number[])[]): InferTensors {
  return {
    rows,
    inputs,
    shapes,
    size: UNIT_ROW,
    bucket: '',
    bytes: inputs.reduce((sum, input) => sum + input.byteLength, 0),
  };
}

/** What a model would find in its mailbox: the tensors at their places. */
function landed(batch: TensorBatch, specs: readonly TensorSpec[]): { shape: readonly number[]; bytes: Buffer }[] {
  const { places, chunks, end } = gather(batch, specs, 'rows');
  const mailbox = Buffer.concat(chunks.map(bytesOf));
  expect(mailbox.byteLength).toBe(end);
  return places.map(({ shape, offset, byteLength }) => ({
    shape,
    bytes: mailbox.subarray(offset, offset + byteLength),
  }));
}

test.each(['rows', 'whole'] as const)(
  "a reshaped input goes in with the model's shape, of as many rows: %s",
  (axis) => {
    const spec = { name: 'x', datatype: 'INT16' as const, shape: [-1, 2, 1], modelShape: [-1, 2] };
    const one = tensors(2, [Buffer.from([1, 2, 3, 4, 5, 6, 7, 8])], [[2, 2, 1]]);
    const two = tensors(1, [Buffer.from([9, 10, 11, 12])], [[1, 2, 1]]);
    const requests = axis === 'rows' ? [one, two] : [one];
    expect(gather(batchOf(requests), [spec], axis).places[0]?.shape).toEqual(axis === 'rows' ? [3, 2] : [2, 2]);
  },
);

describe('gather', () => {
  const specs: readonly TensorSpec[] = [
    { name: 'a', datatype: 'UINT8', shape: [-1, 3] },
    { name: 'b', datatype: 'FP64', shape: [-1] },
  ];

  test('each input begins at a multiple of the alignment, and its rows lie one behind the other', () => {
    const one = tensors(1, [Buffer.from('abc'), Buffer.from('01234567')], [[1, 3], [1]]);
    const two = tensors(2, [Buffer.from('defghi'), Buffer.from('89abcdefghijklmn')], [[2, 3], [2]]);
    const { places } = gather(batchOf([one, two]), specs, 'rows');
    expect(places).toEqual([
      { name: 'a', datatype: 'UINT8', shape: [3, 3], offset: 0, byteLength: 9 },
      { name: 'b', datatype: 'FP64', shape: [3], offset: TENSOR_ALIGNMENT, byteLength: 24 },
    ]);
    expect(landed(batchOf([one, two]), specs).map(({ bytes }) => bytes.toString())).toEqual([
      'abcdefghi',
      '0123456789abcdefghijklmn',
    ]);
  });

  test('nothing is copied: the pieces are those that came', () => {
    const piece = Buffer.from('abc');
    const { chunks } = gather(batchOf([tensors(1, [piece, Buffer.alloc(8)], [[1, 3], [1]])]), specs, 'rows');
    expect(chunks[0]).toBe(piece);
  });

  test('a whole request keeps its shape', () => {
    const { places } = gather(
      batchOf([tensors(1, [Buffer.alloc(6), Buffer.alloc(16)], [[2, 3], [2]])]),
      specs,
      'whole',
    );
    expect(places.map(({ shape }) => shape)).toEqual([[2, 3], [2]]);
  });

  test('an input of no bytes takes no room, and the next one is still aligned', () => {
    const { places, end } = gather(
      batchOf([tensors(1, [Buffer.alloc(0), Buffer.alloc(8)], [[1, 0], [1]])]),
      specs,
      'rows',
    );
    expect(places.map(({ offset, byteLength }) => [offset, byteLength])).toEqual([
      [0, 0],
      [0, 8],
    ]);
    expect(end).toBe(8);
  });

  test('a request without one of the inputs is a fault of ours', () => {
    expect(() => gather(batchOf([tensors(1, [Buffer.alloc(3)], [[1, 3]])]), specs, 'rows')).toThrow('without input 1');
  });
});

describe('scatter', () => {
  function output(shape: readonly number[], data: Uint8Array, datatype: Datatype = 'UINT8'): OutputTensor {
    return { name: 'out', datatype, shape, data };
  }

  const two = batchOf([tensors(1, [], []), tensors(2, [], [])]);

  test('each request gets its rows, as views', () => {
    const data = Buffer.from('aabbcc');
    const [first, second] = scatter(two, [output([3, 2], data)], 'rows');
    expect(first).toEqual([output([1, 2], Buffer.from('aa'))]);
    expect(second).toEqual([output([2, 2], Buffer.from('bbcc'))]);
    expect(second?.[0]?.data.buffer).toBe(data.buffer);
  });

  test('string outputs are cut at their rows', () => {
    const strings = ['', 'a', 'long enough', 'é', 'x', ''].map((text) => Buffer.from(text));
    const [first, second] = scatter(two, [output([3, 2], encodeBytesTensor(strings), 'BYTES')], 'rows');
    expect(first?.[0]).toEqual(output([1, 2], encodeBytesTensor(strings.slice(0, 2)), 'BYTES'));
    expect(second?.[0]).toEqual(output([2, 2], encodeBytesTensor(strings.slice(2)), 'BYTES'));
  });

  test('rows without elements are empty for everyone', () => {
    const parts = scatter(two, [output([3, 0], Buffer.alloc(0)), output([3, 0], Buffer.alloc(0), 'BYTES')], 'rows');
    expect(parts.flat().map(({ shape, data }) => [shape, data.byteLength])).toEqual([
      [[1, 0], 0],
      [[1, 0], 0],
      [[2, 0], 0],
      [[2, 0], 0],
    ]);
  });

  test.each([[[1, 6]], [[6]], [[2, 3]], [[]]])('an output of shape [%s] for three rows is no batch', (shape) => {
    expect(() => scatter(two, [output(shape, Buffer.alloc(6))], 'rows')).toThrow(
      `output 'out' of a batch of 3 rows has the shape [${shape}]: its first axis is no batch axis`,
    );
  });

  test('a string output with too few elements is refused, never cut wrongly', () => {
    const short = encodeBytesTensor([Buffer.from('a'), Buffer.from('b')]);
    expect(() => scatter(two, [output([3], short, 'BYTES')], 'rows')).toThrow('2 elements, expected 3');
  });

  test('one request gets all, whatever the first axis is', () => {
    const outputs = [output([5, 7], Buffer.alloc(35))];
    expect(scatter(batchOf([tensors(2, [], [])]), outputs, 'rows')).toEqual([outputs]);
    expect(scatter(batchOf([tensors(1, [], [])]), outputs, 'whole')).toEqual([outputs]);
  });
});

describe('joined and parted again', () => {
  const datatype = fc.constantFrom<Datatype>('UINT8', 'INT16', 'FP32', 'INT64', 'BYTES');
  const spec = fc.record({ datatype, perRow: fc.integer({ min: 0, max: 3 }) });
  const batches = fc.record({
    specs: fc.array(spec, { minLength: 1, maxLength: 3 }),
    sizes: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 6 }),
    bytes: fc.infiniteStream(fc.nat(255)),
  });

  test('every request has exactly its own rows back', () => {
    fc.assert(
      fc.property(batches, ({ specs, sizes, bytes }) => {
        const piece = (type: Datatype, elements: number): Uint8Array => {
          const some = (count: number): Buffer =>
            Buffer.from(Array.from({ length: count }, () => Number(bytes.next().value)));
          const size = DATATYPE_BYTES[type];
          if (size !== undefined) return some(elements * size);
          return encodeBytesTensor(Array.from({ length: elements }, () => some(Number(bytes.next().value) % 5)));
        };
        const named = specs.map(({ datatype: type, perRow }, index) => ({
          name: `input ${index}`,
          datatype: type,
          shape: [-1, perRow],
        }));
        const requests = sizes.map((rows) =>
          tensors(
            rows,
            specs.map(({ datatype: type, perRow }) => piece(type, rows * perRow)),
            specs.map(({ perRow }) => [rows, perRow]),
          ),
        );
        const batch = batchOf(requests);
        const outputs = landed(batch, named).map(({ shape, bytes: data }, index) => ({
          name: `output ${index}`,
          datatype: specs[index]?.datatype ?? 'UINT8',
          shape,
          data,
        }));
        const parts = scatter(batch, outputs, 'rows');
        expect(parts.map((part) => part.map(({ data }) => Buffer.from(data).toString('hex')))).toEqual(
          requests.map(({ inputs }) => inputs.map((input) => Buffer.from(bytesOf(input)).toString('hex'))),
        );
        expect(parts.map((part) => part.map(({ shape }) => shape))).toEqual(requests.map(({ shapes }) => shapes));
      }),
    );
  });
});

describe('rows that do not lie on axis 0', () => {
  const memory = { name: 'memory', datatype: 'UINT8' as const, shape: [2, -1, 3], rowAxis: 1 };
  const rate = { name: 'rate', datatype: 'INT64' as const, shape: [], rowAxis: 'shared' as const };
  const eight = Buffer.from('\x08\0\0\0\0\0\0\0');
  const one = tensors(1, [Buffer.from('aaaAAA'), eight], [[2, 1, 3], []]);
  const two = tensors(2, [Buffer.from('bbbcccBBBCCC'), eight], [[2, 2, 3], []]);

  test('interleave, and shared values are there once', () => {
    expect(landed(batchOf([one, two]), [memory, rate])).toEqual([
      { shape: [2, 3, 3], bytes: Buffer.from('aaabbbcccAAABBBCCC') },
      { shape: [], bytes: eight },
    ]);
  });

  test('are not copied when they belong to one request', () => {
    expect(gather(batchOf([two]), [memory, rate], 'rows').chunks[0]).toBe(two.inputs[0]);
  });

  test('stay as they came in a whole request', () => {
    const { places } = gather(batchOf([two]), [memory, rate], 'whole');
    expect(places.map(({ shape }) => shape)).toEqual([[2, 2, 3], []]);
  });

  test('are parted again, and shared values are given to all', () => {
    const data = Buffer.from('aaabbbcccAAABBBCCC');
    const outputs: OutputTensor[] = [
      { name: 'memory', datatype: 'UINT8', shape: [2, 3, 3], data },
      { name: 'rate', datatype: 'INT64', shape: [], data: eight },
    ];
    const axes = outputAxes([memory, rate]);
    expect(scatter(batchOf([one, two]), outputs, 'rows', axes)).toEqual([
      [{ ...outputs[0], shape: [2, 1, 3], data: Buffer.from('aaaAAA') }, outputs[1]],
      [{ ...outputs[0], shape: [2, 2, 3], data: Buffer.from('bbbcccBBBCCC') }, outputs[1]],
    ]);
  });

  test('that are not as many as were sent are no batch', () => {
    const outputs: OutputTensor[] = [{ name: 'memory', datatype: 'UINT8', shape: [2, 2, 3], data: Buffer.alloc(12) }];
    expect(() => scatter(batchOf([one, two]), outputs, 'rows', outputAxes([memory]))).toThrow(
      "output 'memory' of a batch of 3 rows has the shape [2,2,3]: its axis 1 is no batch axis",
    );
  });

  test('every request has exactly its own rows back, on whatever axis', () => {
    const batches = fc.record({
      before: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 3 }),
      after: fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 2 }),
      sizes: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 6 }),
      seed: fc.nat(),
    });
    fc.assert(
      fc.property(batches, ({ before, after, sizes, seed }) => {
        const rowAxis = before.length;
        const spec = { name: 'x', datatype: 'INT16' as const, shape: [...before, -1, ...after], rowAxis };
        const requests = sizes.map((rows, index) => {
          const shape = [...before, rows, ...after];
          const bytes = 2 * shape.reduce((product, size) => product * size, 1);
          const input = Buffer.from(Array.from({ length: bytes }, (_, at) => (seed + index * 31 + at * 7) % 256));
          return tensors(rows, [input], [shape]);
        });
        const batch = batchOf(requests);
        const [joined] = landed(batch, [spec]);
        const output = {
          name: 'x',
          datatype: 'INT16' as const,
          shape: joined?.shape ?? [],
          data: joined?.bytes ?? eight,
        };
        const parts = scatter(batch, [output], 'rows', outputAxes([spec]));
        for (const [index, { inputs, shapes }] of requests.entries()) {
          expect(parts[index]?.[0]?.shape).toEqual(shapes[0]);
          expect(Buffer.compare(parts[index]?.[0]?.data ?? eight, bytesOf(inputs[0] ?? eight))).toBe(0);
        }
      }),
    );
  });
});
