import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { validate } from '../../../../src/gateway/admit/validate.ts';
import {
  PROBE_RANGES,
  type RowRecipe,
  seededRandom,
  syntheticRow,
} from '../../../../src/gateway/models/trial/synthetic-input.ts';
import { DATATYPE_BYTES, isDatatype, type TensorSpec } from '../../../../src/wire/tensor.ts';
import { inferInput, inferRequest, signatureOf, spec } from '../../../support/infer-requests.ts';

const DATATYPES = Object.keys(DATATYPE_BYTES).filter(isDatatype);

function recipe(fields: Partial<RowRecipe> = {}): RowRecipe {
  return { openAxisSize: 3, range: 'wide', random: seededRandom(1), magnitude: 1, ...fields };
}

function floatsOf(inputs: readonly Uint8Array[]): number[] {
  return [...new Float32Array(Uint8Array.from(inputs[0] ?? []).buffer)];
}

describe('a made-up row', () => {
  test('is one that admission takes, of whatever datatype and shape', () => {
    const inputs = fc
      .array(
        fc.record({
          datatype: fc.constantFrom(...DATATYPES),
          axes: fc.array(fc.constantFrom(-1, 0, 1, 2, 5), { maxLength: 3 }),
        }),
        { minLength: 1, maxLength: 3 },
      )
      .map((tensors) =>
        tensors.map(({ datatype, axes }, index): TensorSpec => spec(`${index}`, datatype, [-1, ...axes])),
      );
    fc.assert(
      fc.property(
        inputs,
        fc.constantFrom(...PROBE_RANGES),
        fc.integer({ min: 1, max: 9 }),
        (specs, range, openAxisSize) => {
          const row = syntheticRow(specs, recipe({ range, openAxisSize }));
          const request = inferRequest({
            inputs: specs.map(({ name, datatype }, index) => inferInput(name, datatype, row.shapes[index] ?? [])),
            rawInputContents: row.inputs,
          });
          expect(validate(request, signatureOf(specs))).toMatchObject({ rows: 1, bytes: row.bytes });
        },
      ),
    );
  });

  test.each(['BOOL', 'INT64', 'INT32', 'FP32', 'FP16'] as const)(
    'has ones and then zeros along the last axis of a mask in %s',
    (datatype) => {
      const one = Buffer.from(
        syntheticRow([{ ...spec('x', datatype, [-1, 1]), probeValue: 1 }], recipe()).inputs[0] ?? [],
      ).toString('hex');
      const lines = Array.from({ length: 20 }, (_, seed) => {
        const specs = [spec('attention_mask', datatype, [-1, 2, -1])];
        const [mask] = syntheticRow(specs, recipe({ random: seededRandom(seed), openAxisSize: 5 })).inputs;
        const elements =
          Buffer.from(mask ?? [])
            .toString('hex')
            .match(new RegExp(`.{${one.length}}`, 'g')) ?? [];
        return elements.map((element) => (element === one ? '1' : Number(`0x${element}`) === 0 ? '0' : '?')).join('');
      });
      for (const line of lines) expect(line).toMatch(/^(1+0*)\1$/);
      expect(new Set(lines).size).toBeGreaterThan(2);
    },
  );

  test('has one row where the rows lie, and what rows share is the same for all', () => {
    const specs = [
      { ...spec('memory', 'FP32', [2, -1, 3]), rowAxis: 1 },
      { ...spec('rate', 'INT64', []), rowAxis: 'shared' as const },
      { ...spec('step', 'FP32', [-1, 2]), probeValue: 0.5 },
    ];
    const [one, other] = [1, 2].map((seed) => syntheticRow(specs, recipe({ random: seededRandom(seed) })));
    expect(one?.shapes).toEqual([[2, 1, 3], [], [1, 2]]);
    expect(one?.inputs[0]).not.toEqual(other?.inputs[0]);
    expect(one?.inputs[1]).toEqual(other?.inputs[1]);
    expect(floatsOf(one?.inputs.slice(2) ?? [])).toEqual([0.5, 0.5]);
  });

  test('is the same at every start, and another for another seed', () => {
    const specs = [spec('x', 'FP32', [-1, 50])];
    const [one, same, other] = [1, 1, 2].map((seed) => syntheticRow(specs, recipe({ random: seededRandom(seed) })));
    expect(one).toEqual(same);
    expect(one).not.toEqual(other);
  });

  test.each([
    { range: 'wide', least: -8, most: 8 },
    { range: 'small', least: 0, most: 1 },
    { range: 'zero', least: 0, most: 0 },
  ] as const)('with range $range and magnitude 8 holds numbers from $least to $most', ({ range, least, most }) => {
    const values = floatsOf(syntheticRow([spec('x', 'FP32', [-1, 500])], recipe({ range, magnitude: 8 })).inputs);
    expect(Math.min(...values)).toBeGreaterThanOrEqual(least);
    expect(Math.max(...values)).toBeLessThanOrEqual(most);
    if (most > least) expect(Math.max(...values) - Math.min(...values)).toBeGreaterThan(0.9 * (most - least));
  });

  test('holds indices that a small vocabulary has, in the range small', () => {
    const { inputs } = syntheticRow([spec('ids', 'INT64', [-1, 100])], recipe({ range: 'small' }));
    const values = new Set(new BigInt64Array(Uint8Array.from(inputs[0] ?? []).buffer));
    expect(values).toEqual(new Set([0n, 1n]));
  });
});

test('the generator spreads over [0, 1)', () => {
  const random = seededRandom(3);
  const values = Array.from({ length: 10_000 }, () => random());
  expect(Math.min(...values)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...values)).toBeLessThan(1);
  expect(values.reduce((sum, value) => sum + value, 0) / 10_000).toBeCloseTo(0.5, 1);
});
