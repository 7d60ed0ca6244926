import { describe, expect, test } from 'vitest';
import { Embedding, EmbeddingTally } from '../../src/compare/embedding.ts';
import { UNIT_ROW } from '../../src/gateway/admit/infer-tensors.ts';
import type { OutputTensor } from '../../src/gateway/batch/queued-request.ts';
import type { ModelTensor } from '../../src/gateway/repository/signature/row-axis.ts';

const POOLING = { kind: 'pooling', mode: 'mean', normalize: true } as const;
const MASK = { name: 'attention_mask', datatype: 'INT64', shape: [-1, -1] } as unknown as ModelTensor;

function fp32(name: string, shape: readonly number[], ...values: readonly number[]): OutputTensor {
  return { name, datatype: 'FP32', shape, data: new Uint8Array(Float32Array.from(values).buffer) };
}

function row(...mask: readonly bigint[]) {
  const inputs = [new Uint8Array(BigInt64Array.from(mask).buffer)];
  return { rows: 1, bytes: inputs[0]!.byteLength, size: UNIT_ROW, bucket: '', inputs, shapes: [[1, mask.length]] };
}

/** Unit vectors in a plane, at angles in degrees. */
function at(...angles: readonly number[]): Float64Array[] {
  return angles.map((angle) => Float64Array.of(Math.cos((angle * Math.PI) / 180), Math.sin((angle * Math.PI) / 180)));
}

function qualityOf(base: readonly Float64Array[], own: readonly Float64Array[]) {
  const tally = new EmbeddingTally();
  for (const [index, vector] of base.entries()) tally.see(vector, own[index]!);
  return tally.quality('vector');
}

describe('the vector of a row', () => {
  test('is the output, scaled to the length 1', () => {
    const vector = new Embedding({ name: 'v' }, []).vectorOf([fp32('v', [1, 2], 3, 4)], row(1n));
    expect([...vector]).toEqual([expect.closeTo(0.6), expect.closeTo(0.8)]);
  });

  test('is pooled from the vectors of the tokens that the mask marks', () => {
    const embedding = new Embedding({ name: 'states', pooling: POOLING }, [MASK]);
    const states = fp32('states', [1, 3, 2], 6, 0, 0, 8, 100, 100);
    expect([...embedding.vectorOf([states], row(1n, 1n, 0n))]).toEqual([expect.closeTo(0.6), expect.closeTo(0.8)]);
  });

  test.each([
    ['another output', fp32('w', [1, 2], 1, 2), "the model has no output 'v'"],
    ['several vectors', fp32('v', [2, 2], 1, 2, 3, 4), "output 'v' of a row is FP32 [2,2], expected a vector"],
    ['a number', fp32('v', [1, 1], 1), "output 'v' of a row is FP32 [1,1], expected a vector"],
  ])('is refused where there is %s', (_, output, text) => {
    expect(() => new Embedding({ name: 'v' }, []).vectorOf([output], row(1n))).toThrow(text);
  });

  test('is refused where pooling has no mask', () => {
    expect(() => new Embedding({ name: 'v', pooling: POOLING }, [])).toThrow('no input attention_mask');
  });
});

describe('vectors of a candidate', () => {
  const angles = Array.from({ length: 11 }, (_, index) => index * index);

  test('that are all turned alike keep their neighbours, and lose the same cosine', () => {
    const turned = qualityOf(at(...angles), at(...angles.map((angle) => angle + 60)));
    expect(turned).toEqual({
      output: 'vector',
      meanCosine: expect.closeTo(0.5),
      worstCosine: expect.closeTo(0.5),
      neighbours: 2,
      neighboursKept: 1,
    });
  });

  test('that change places lose neighbours', () => {
    const moved = angles.with(0, 100).with(10, 0);
    const { neighboursKept = 1, worstCosine } = qualityOf(at(...angles), at(...moved)) ?? {};
    expect(neighboursKept).toBeLessThan(0.9);
    expect(worstCosine).toBeCloseTo(Math.cos((100 * Math.PI) / 180));
  });

  test('are judged by the cosine that 99 of 100 have at least', () => {
    const many = Array.from({ length: 200 }, (_, index) => index / 10);
    const turned = (...rows: readonly number[]) => many.map((angle, row) => (rows.includes(row) ? angle + 90 : angle));
    expect(qualityOf(at(...many), at(...turned(3)))?.worstCosine).toBeCloseTo(1);
    expect(qualityOf(at(...many), at(...turned(3, 9)))?.worstCosine).toBeCloseTo(0);
  });

  test('cannot be compared with vectors of another length', () => {
    expect(() => new EmbeddingTally().see(Float64Array.of(1, 0), Float64Array.of(1))).toThrow(
      'vectors have 1 elements, expected 2',
    );
  });

  test('are none without answers', () => {
    expect(qualityOf([], [])).toBeUndefined();
  });
});
