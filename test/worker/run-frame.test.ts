import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DATATYPE_BYTES, type Datatype, elementCount, isDatatype } from '../../src/wire/tensor.ts';
import type { InputPiece, Run, SessionTensor, TensorPlace } from '../../src/worker/protocol.ts';
import {
  type Frame,
  FrameError,
  FrameReader,
  FrameWriter,
  MAX_FRAME_BYTES,
  tensorNumbers,
} from '../../src/worker/run-frame.ts';
import { PASSED_ON, type ReportedOutcome } from '../../src/worker/run-outcome.ts';

const DATATYPES = Object.keys(DATATYPE_BYTES).filter(isDatatype);
const TENSORS: readonly SessionTensor[] = DATATYPES.map((datatype) => ({
  name: `a tensor of ${datatype}`,
  datatype,
  shape: [-1],
  axes: ['batch'],
}));
const NUMBERS = tensorNumbers(TENSORS);

const offsets = fc.nat().map((offset) => offset * 2 ** 20);
const places: fc.Arbitrary<TensorPlace> = fc
  .record({
    tensor: fc.constantFrom(...TENSORS),
    shape: fc.array(fc.nat(2_000), { maxLength: 4 }),
    offset: offsets,
    bytes: fc.nat(),
  })
  .map(({ tensor: { name, datatype }, shape, offset, bytes }) => ({
    name,
    datatype,
    shape,
    offset,
    byteLength: bytesOf(datatype, shape) ?? bytes,
  }));
const files = fc.record({ pid: fc.integer({ min: 1, max: 2 ** 22 }), descriptor: fc.nat(), inode: fc.maxSafeNat() });
const pieces: fc.Arbitrary<InputPiece> = fc.record({
  file: fc.option(files, { nil: undefined }),
  from: offsets,
  at: fc.nat(2_000),
  byteLength: fc.nat(2_000),
});
const runs: fc.Arbitrary<Run> = fc
  .record(
    {
      inputs: fc.array(places, { maxLength: 40 }),
      outputOffset: offsets,
      maxOutputBytes: fc.maxSafeNat(),
      pieces: fc.array(pieces, { maxLength: 40 }),
    },
    { requiredKeys: ['inputs', 'outputOffset', 'maxOutputBytes'] },
  )
  .map((run) => {
    const end = Math.max(0, ...run.inputs.map(({ offset, byteLength }) => offset + byteLength));
    return run.pieces === undefined
      ? run
      : { ...run, pieces: run.pieces.filter(({ at, byteLength }) => at + byteLength <= end) };
  });
const times = fc.double({ min: 0, max: 1e6, noNaN: true });
const texts = fc.string({ unit: 'grapheme', maxLength: 300 });
const outcomes: fc.Arbitrary<ReportedOutcome> = fc.oneof(
  fc.record({
    kind: fc.constant('ok' as const),
    outputs: fc.array(places, { maxLength: 40 }),
    computeMs: times,
    readMs: times,
    writeMs: times,
  }),
  // Outputs whose rows have lengths of their own.
  fc.array(fc.nat(50), { maxLength: 40 }).map((rowLengths): ReportedOutcome => {
    const shape = [rowLengths.length, Math.max(0, ...rowLengths)];
    const outputs = TENSORS.flatMap((tensor) => {
      const byteLength = bytesOf(tensor.datatype, shape);
      return byteLength === undefined ? [] : [{ ...tensorOf(tensor), shape, offset: 0, byteLength }];
    });
    return { kind: 'ok', outputs, rowLengths, computeMs: 1, readMs: 0, writeMs: 0 };
  }),
  fc.record({ kind: fc.constantFrom('refused' as const, 'outputs_too_large' as const), message: texts }),
  fc.record({
    kind: fc.constant('threw' as const),
    message: texts,
    reason: fc.constantFrom(undefined, ...PASSED_ON),
  }),
  fc.constant({ kind: 'out_of_memory', by: 'batch' } as const),
  fc.record({
    kind: fc.constant('no_room' as const),
    bytes: fc.maxSafeNat(),
    message: texts,
    isLasting: fc.constant(false),
  }),
  fc.record({ kind: fc.constant('failed' as const), error: texts.map((text) => new Error(text)) }),
);

function bytesOf(datatype: Datatype, shape: readonly number[]): number | undefined {
  const size = DATATYPE_BYTES[datatype];
  return size === undefined ? undefined : size * (elementCount(shape) ?? 0);
}

/** The frame as a stream delivers it: in pieces that are cut anywhere. */
function delivered(reader: FrameReader, bytes: Uint8Array, cuts: readonly number[]): Frame {
  const ends = [...new Set(cuts.map((cut) => cut % bytes.length)), bytes.length].sort((a, b) => a - b);
  let from = 0;
  for (const to of ends) {
    const frame = reader.push(bytes.slice(from, to));
    from = to;
    expect(frame === undefined).toBe(to < bytes.length);
    if (frame !== undefined) return frame;
  }
  throw new Error('no frame');
}

/** A frame of these doubles, behind its length. */
function frameOf(...words: readonly number[]): Frame | undefined {
  const all = [(words.length + 1) * 8, ...words];
  return new FrameReader().push(new Uint8Array(new Float64Array(all).buffer));
}

describe('a frame', () => {
  const cuts = fc.array(fc.nat(), { maxLength: 5 });

  test('brings a run as it was sent, however the stream cuts it, one after the other', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(runs, cuts), { minLength: 1, maxLength: 4 }), (sent) => {
        const writer = new FrameWriter();
        const reader = new FrameReader();
        for (const [run, pieces] of sent) {
          expect(delivered(reader, writer.run(run, NUMBERS), pieces).run(TENSORS)).toEqual(run);
        }
      }),
    );
  });

  test('brings an outcome as it was sent, however the stream cuts it, one after the other', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(outcomes, cuts), { minLength: 1, maxLength: 4 }), (sent) => {
        const writer = new FrameWriter();
        const reader = new FrameReader();
        for (const [outcome, pieces] of sent) {
          expect(delivered(reader, writer.outcome(outcome, NUMBERS), pieces).outcome(TENSORS)).toEqual(outcome);
        }
      }),
    );
  });

  test('refuses a piece beyond the inputs of its run', () => {
    const [tensor] = TENSORS;
    const inputs: TensorPlace[] = [{ ...tensorOf(tensor), shape: [8], offset: 0, byteLength: 8 }];
    const piece = { file: undefined, from: 0, at: 4, byteLength: 5 };
    const frame = new FrameWriter().run({ inputs, pieces: [piece], outputOffset: 64, maxOutputBytes: 0 }, NUMBERS);
    expect(() => new FrameReader().push(frame)?.run(TENSORS)).toThrow('a piece beyond the inputs');
  });

  test('for a usual run is small', () => {
    const [tensor] = TENSORS;
    const inputs: TensorPlace[] = [{ ...tensorOf(tensor), shape: [25, 64], offset: 0, byteLength: 1_600 }];
    expect(new FrameWriter().run({ inputs, outputOffset: 1_600, maxOutputBytes: 1_000 }, NUMBERS).byteLength).toBe(88);
  });

  test('cuts a message that is very long, and no character of it in two', () => {
    const outcome: ReportedOutcome = { kind: 'refused', message: 'é'.repeat(100_000) };
    const frame = new FrameReader().push(new FrameWriter().outcome(outcome, NUMBERS));
    const read = frame?.outcome(TENSORS);
    expect(read).toEqual({ kind: 'refused', message: expect.stringMatching(/^é{8192}$/) });
  });

  test('is not made for a tensor that the session does not have, or of too many', () => {
    const place = { ...tensorOf(TENSORS[0]), shape: [], offset: 0, byteLength: 1 };
    const writer = new FrameWriter();
    expect(() =>
      writer.run({ inputs: [{ ...place, name: 'nobody' }], outputOffset: 0, maxOutputBytes: 0 }, NUMBERS),
    ).toThrow("'nobody'");
    const inputs = new Array<TensorPlace>(MAX_FRAME_BYTES / 32).fill(place);
    expect(() => writer.run({ inputs, outputOffset: 0, maxOutputBytes: 0 }, NUMBERS)).toThrow('too many');
  });
});

describe('FRAME-1: bytes that are no frame', () => {
  test('are distinguished from one, or read as what they say, and raise nothing else', () => {
    const anything = fc.uint8Array({ maxLength: 400 });
    const almost = fc
      .tuple(fc.constantFrom(1, 2, 3, 4, 5), fc.array(fc.oneof(fc.nat(20), fc.double()), { maxLength: 40 }))
      .map(([kind, words]) => new Uint8Array(new Float64Array([(words.length + 2) * 8, kind, ...words]).buffer));
    fc.assert(
      fc.property(fc.oneof(anything, almost), (bytes) => {
        for (const read of [
          (frame: Frame) => frame.run(TENSORS),
          (frame: Frame) => frame.outcome(TENSORS),
          (frame: Frame) => frame.welcome(),
        ]) {
          try {
            const frame = new FrameReader().push(bytes);
            if (frame !== undefined) read(frame);
          } catch (error) {
            expect(error).toBeInstanceOf(FrameError);
          }
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test.each([
    ['a length of no whole doubles', [20, 1]],
    ['a length of less than its header', [8]],
    ['a length of more than the limit', [MAX_FRAME_BYTES + 8, 1]],
    ['a length that is no number', [Number.NaN, 1]],
  ])('%s', (_, words) => {
    const bytes = new Uint8Array(new Float64Array(words).buffer);
    expect(() => new FrameReader().push(bytes)).toThrow(FrameError);
  });

  test('FRAME-2: bytes behind a frame', () => {
    const bytes = Buffer.concat([new FrameWriter().welcome(), new Uint8Array(1)]);
    expect(() => new FrameReader().push(bytes)).toThrow('1 bytes behind a frame');
  });

  test('more than the limit at once', () => {
    expect(() => new FrameReader().push(new Uint8Array(MAX_FRAME_BYTES + 1))).toThrow(FrameError);
  });

  const number = DATATYPES.indexOf('FP32');
  test.each([
    ['an outcome of another kind', [2, 0, 0], 'kind 2'],
    ['a time that is negative', [3, -1, 0, 0, 0], 'a time of -1 ms'],
    ['an unknown tensor', [3, 0, 0, 0, 1, 99, 0, 4, 1, 1], 'does not have'],
    [
      'a tensor whose bytes are not those of its shape',
      [3, 0, 0, 0, 1, number, 0, 4, 2, 1, 2],
      '4 bytes for FP32 [1,2]',
    ],
    ['a shape of infinitely many elements', [3, 0, 0, 0, 1, number, 0, 4, 2, 2 ** 50, 2 ** 50], 'bytes for FP32'],
    ['a size that is no integer', [3, 0, 0, 0, 1, number, 0, 4, 1, 0.5], 'a size is 0.5'],
    ['a negative offset', [3, 0, 0, 0, 1, number, -64, 4, 1, 1], 'an offset is -64'],
    ['more places than it holds', [3, 0, 0, 0, 2 ** 40, number, 0, 4, 1, 1], 'ends too early'],
    ['more axes than it holds', [3, 0, 0, 0, 1, number, 0, 4, 2 ** 40, 1], 'ends too early'],
    ['something behind its end', [3, 0, 0, 0, 0, 0, 7], 'behind its end'],
    ['more lengths of rows than it holds', [3, 0, 0, 0, 0, 2 ** 40, 1], 'ends too early'],
    [
      'lengths of other rows than its outputs have',
      [3, 0, 0, 0, 1, number, 0, 8, 2, 1, 2, 2, 1, 2],
      '[1,2] for 2 rows',
    ],
    ['a row that is longer than its outputs', [3, 0, 0, 0, 1, number, 0, 8, 2, 1, 2, 1, 3], '1 rows of up to 3'],
    ['an unknown failure', [4, 99, 0, 0], 'an unknown failure'],
    ['a failure of a negative number of bytes', [4, 0, -1, 0], 'the bytes of a failure is -1'],
    ['a message beyond its end', [4, 0, 0, 9, 0], 'beyond its frame'],
  ])('%s', (_, words, text) => {
    expect(() => frameOf(...words)?.outcome(TENSORS)).toThrow(text);
  });
});

function tensorOf(tensor: SessionTensor | undefined): { readonly name: string; readonly datatype: Datatype } {
  if (tensor === undefined) throw new Error('no tensor');
  return { name: tensor.name, datatype: tensor.datatype };
}
