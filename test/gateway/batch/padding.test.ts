/** Requests of unlike length in one batch, against a reference that knows neither views nor strides. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type InferTensors, UNIT_ROW } from '../../../src/gateway/admit/infer-tensors.ts';
import { gather, scatter, type TensorBatch } from '../../../src/gateway/batch/batch.ts';
import type { OutputTensor } from '../../../src/gateway/batch/queued-request.ts';
import type { LengthAxis } from '../../../src/gateway/repository/signature/length-axis.ts';
import { fillerOf } from '../../../src/gateway/repository/signature/pad-value.ts';
import { DATATYPE_BYTES, type Datatype, type Shape } from '../../../src/wire/tensor.ts';
import { bytesOf } from '../../../src/wire/tensor-bytes.ts';
import { batchOf } from '../../support/runners.ts';

function request(rows: number, inputs: readonly Uint8Array[], shapes: readonly Shape[]): InferTensors {
  const bytes = inputs.reduce((sum, { byteLength }) => sum + byteLength, 0);
  return { rows, inputs, shapes, size: UNIT_ROW, bucket: '', bytes };
}

function axisOf(
  padded: readonly { readonly datatype: Datatype; readonly value: number; readonly axis?: number }[],
  outputs: Readonly<Record<string, readonly number[]>> = {},
): LengthAxis {
  const inputs = padded.map(({ datatype, value, axis = 1 }, index) => {
    return [index, { axis, filler: fillerOf(datatype, value) ?? new Uint8Array(0) }] as const;
  });
  return { inputs: new Map(inputs), mask: 0, outputs: new Map(Object.entries(outputs)) };
}

/** The tensors at their places. */
function landed(
  batch: TensorBatch,
  specs: readonly { readonly name: string; readonly datatype: Datatype; readonly shape: Shape }[],
  lengths: LengthAxis,
): { readonly shape: Shape; readonly bytes: Buffer }[] {
  const { places, chunks, end } = gather(batch, specs, 'rows', lengths);
  const mailbox = Buffer.concat(chunks.map(bytesOf));
  expect(mailbox.byteLength).toBe(end);
  return places.map(({ shape, offset, byteLength }) => ({
    shape,
    bytes: mailbox.subarray(offset, offset + byteLength),
  }));
}

const IDS = [{ name: 'ids', datatype: 'UINT8' as const, shape: [-1, -1] }];

describe('rows of unlike length', () => {
  const short = request(2, [Buffer.from('abcd')], [[2, 2]]);
  const long = request(1, [Buffer.from('ABC')], [[1, 3]]);

  test('are filled up to the longest of the batch', () => {
    const lengths = axisOf([{ datatype: 'UINT8', value: 0x2e }]);
    expect(landed(batchOf([short, long, short]), IDS, lengths)).toEqual([
      { shape: [5, 3], bytes: Buffer.from('ab.cd.ABCab.cd.') },
    ]);
  });

  test('stay views of the requests and of one filler', () => {
    const lengths = axisOf([{ datatype: 'UINT8', value: 0 }]);
    const { chunks } = gather(batchOf([short, long]), IDS, 'rows', lengths);
    const filler = lengths.inputs.get(0)?.filler.buffer;
    const [own, other] = [short, long].map(({ inputs }) => bytesOf(inputs[0] ?? new Uint8Array()));
    expect(chunks.map((chunk) => bytesOf(chunk).buffer)).toEqual([
      own?.buffer,
      filler,
      own?.buffer,
      filler,
      other?.buffer,
    ]);
  });

  test('are filled by more than one filler holds', () => {
    const lengths = axisOf([{ datatype: 'UINT8', value: 7 }]);
    const huge = request(1, [Buffer.alloc(50_000, 1)], [[1, 50_000]]);
    const [tensor] = landed(batchOf([huge, long]), IDS, lengths);
    expect(tensor?.shape).toEqual([2, 50_000]);
    expect(tensor?.bytes.subarray(50_003)).toEqual(Buffer.alloc(49_997, 7));
  });

  test('are copied where they lie in many pieces', () => {
    const lengths = axisOf([{ datatype: 'UINT8', value: 9, axis: 2 }]);
    const spec = [{ name: 'features', datatype: 'UINT8' as const, shape: [-1, 400, -1] }];
    const one = request(1, [Buffer.alloc(400, 1)], [[1, 400, 1]]);
    const two = request(1, [Buffer.alloc(800, 2)], [[1, 400, 2]]);
    const { chunks } = gather(batchOf([one, two]), spec, 'rows', lengths);
    expect(chunks.length).toBe(2);
    expect(Buffer.concat(chunks.map(bytesOf))).toEqual(
      Buffer.concat([Buffer.alloc(800, Buffer.from([1, 9])), Buffer.alloc(800, 2)]),
    );
  });

  test('with equal length stay as they came, even where an input is to be broadcast', () => {
    const specs = [...IDS, { name: 'mask', datatype: 'UINT8' as const, shape: [-1, -1] }];
    const lengths = axisOf([
      { datatype: 'UINT8', value: 0 },
      { datatype: 'UINT8', value: 0 },
    ]);
    const broadcast = request(
      1,
      [Buffer.from('ABC'), Buffer.from('1')],
      [
        [1, 3],
        [1, 1],
      ],
    );
    expect(landed(batchOf([broadcast, broadcast]), specs, lengths)).toEqual([
      { shape: [2, 3], bytes: Buffer.from('ABCABC') },
      { shape: [2, 1], bytes: Buffer.from('11') },
    ]);
  });

  test('are refused where nothing pads them, instead of landing in each other', () => {
    expect(() => gather(batchOf([short, long]), IDS, 'rows')).toThrow(
      "requests of unlike shapes cannot share a batch: input 'ids' has 7 bytes for [3,2]",
    );
  });

  const output = (shape: Shape, text: string): OutputTensor => {
    return { name: 'y', datatype: 'UINT8', shape, data: Buffer.from(text) };
  };

  test('get answers of their own length', () => {
    const lengths = axisOf([{ datatype: 'UINT8', value: 0 }], { y: [1] });
    expect(scatter(batchOf([short, long]), [output([3, 3], 'ab.cd.ABC')], 'rows', undefined, lengths)).toEqual([
      [output([2, 2], 'abcd')],
      [output([1, 3], 'ABC')],
    ]);
  });

  test('get answers that are as long in two axes', () => {
    const lengths = axisOf([{ datatype: 'UINT8', value: 0 }], { y: [1, 2] });
    const square = output([2, 3, 3], 'ab.cd....ABCDEFGHI');
    const one = request(1, [Buffer.from('ab')], [[1, 2]]);
    expect(scatter(batchOf([one, long]), [square], 'rows', undefined, lengths)).toEqual([
      [output([1, 2, 2], 'abcd')],
      [output([1, 3, 3], 'ABCDEFGHI')],
    ]);
  });

  test('get answers whose rows lie on another axis', () => {
    const lengths = axisOf([{ datatype: 'UINT8', value: 0 }], { y: [2] });
    const layers = output([2, 2, 3], 'ab.ABCcd.DEF');
    const one = request(1, [Buffer.from('ab')], [[1, 2]]);
    expect(scatter(batchOf([one, long]), [layers], 'rows', new Map([['y', 1]]), lengths)).toEqual([
      [output([2, 1, 2], 'abcd')],
      [output([2, 1, 3], 'ABCDEF')],
    ]);
  });

  test('get rows that a step padded, as long as their own longest', () => {
    const padded = { ...output([3, 3], 'a..bc.DEF'), rowLengths: [1, 2, 3] };
    expect(scatter(batchOf([short, long]), [padded], 'rows')).toEqual([
      [output([2, 2], 'a.bc')],
      [output([1, 3], 'DEF')],
    ]);
  });

  test('whose answer is not as long as the batch are a fault of the model, and nothing is cut', () => {
    const lengths = axisOf([{ datatype: 'UINT8', value: 0 }], { y: [1] });
    expect(() => scatter(batchOf([short, long]), [output([3, 2], 'abcdef')], 'rows', undefined, lengths)).toThrow(
      "output 'y' of rows of length 3 has the shape [2,2]: its axis 1 is no length axis",
    );
  });
});

test('joined and parted again, every request has exactly its own elements back, whatever is padded, and how', () => {
  const tensor = fc.record({
    datatype: fc.constantFrom<Datatype>('BOOL', 'UINT8', 'INT16', 'FP16', 'FP32', 'INT64', 'FP64'),
    before: fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 2 }),
    after: fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 2 }),
    value: fc.integer({ min: 0, max: 1 }),
  });
  const batches = fc.record({
    specs: fc.array(tensor, { minLength: 1, maxLength: 3 }),
    sizes: fc.array(fc.record({ rows: fc.integer({ min: 1, max: 4 }), length: fc.integer({ min: 1, max: 9 }) }), {
      minLength: 1,
      maxLength: 7,
    }),
    seed: fc.nat(),
  });
  fc.assert(
    fc.property(batches, ({ specs, sizes, seed }) => {
      const axes = specs.map(({ before }) => before.length + 1);
      const lengths = axisOf(
        specs.map(({ datatype, value }, index) => ({ datatype, value, axis: axes[index] ?? 1 })),
        Object.fromEntries(axes.map((axis, index) => [`t${index}`, [axis]])),
      );
      const named = specs.map(({ datatype, before, after }, index) => {
        return { name: `t${index}`, datatype, shape: [-1, ...before, -1, ...after] };
      });
      const requests = sizes.map(({ rows, length }, number) => {
        const shapes = specs.map(({ before, after }) => [rows, ...before, length, ...after]);
        const inputs = shapes.map((shape, index) => {
          const bytes = shape.reduce(
            (product, size) => product * size,
            DATATYPE_BYTES[specs[index]?.datatype ?? 'BOOL'] ?? 1,
          );
          return Buffer.from(Array.from({ length: bytes }, (_, at) => (seed + number * 31 + at * 7) % 251));
        });
        return request(rows, inputs, shapes);
      });
      const batch = batchOf(requests);
      const longest = Math.max(...sizes.map(({ length }) => length));
      const joined = landed(batch, named, lengths);
      for (const [index, { shape, bytes }] of joined.entries()) {
        expect(shape).toEqual(named[index]?.shape.with(0, batch.rows).with(axes[index] ?? 1, longest));
        expect(bytes).toEqual(Buffer.concat(requests.map((each) => filledUp(each, index, lengths, longest))));
      }
      const outputs = joined.map(({ shape, bytes: data }, index) => {
        return { name: `t${index}`, datatype: specs[index]?.datatype ?? 'BOOL', shape, data };
      });
      const parts = scatter(batch, outputs, 'rows', undefined, lengths);
      expect(parts.map((part) => part.map(({ shape }) => shape))).toEqual(requests.map(({ shapes }) => shapes));
      expect(parts.map((part) => part.map(({ data }) => Buffer.from(data).toString('hex')))).toEqual(
        requests.map(({ inputs }) => inputs.map((input) => Buffer.from(bytesOf(input)).toString('hex'))),
      );
    }),
  );
});

/** An input with the pad value behind each run along the length, made only of slices. */
function filledUp({ inputs, shapes }: InferTensors, index: number, lengths: LengthAxis, longest: number): Buffer {
  const { axis, filler } = lengths.inputs.get(index) ?? { axis: 1, filler: new Uint8Array(0) };
  const [input, shape] = [Buffer.from(bytesOf(inputs[index] ?? new Uint8Array())), shapes[index] ?? []];
  const runs = shape.slice(0, axis).reduce((product, size) => product * size, 1);
  const width = input.byteLength / runs;
  const pad = Buffer.from(filler.subarray(0, (width / (shape[axis] ?? 1)) * (longest - (shape[axis] ?? 1))));
  return Buffer.concat(
    Array.from({ length: runs }, (_, run) => [input.subarray(run * width, (run + 1) * width), pad]).flat(),
  );
}
