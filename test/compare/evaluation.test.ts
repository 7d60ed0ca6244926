import { describe, expect, test } from 'vitest';
import type { ClassOutput } from '../../src/compare/class-output.ts';
import type { Contender } from '../../src/compare/contender.ts';
import { evaluate } from '../../src/compare/evaluation.ts';
import type { Dataset } from '../../src/compare/sample.ts';
import { RunError } from '../../src/compress/runner-session.ts';
import { UNIT_ROW } from '../../src/gateway/admit/infer-tensors.ts';

type Answer = (value: number) => readonly number[];

/** Answers rows of one byte. */
function contender(answer: Answer, columns = 2): Contender {
  return {
    maxRows: 4,
    answer: async (rows: readonly { readonly inputs: readonly Uint8Array[] }[]) =>
      rows.map(({ inputs }) => {
        const data = new Uint8Array(Float32Array.from(answer(inputs[0]?.[0] ?? 0)).buffer);
        return [{ name: 'scores', datatype: 'FP32', shape: [1, columns], data }];
      }),
  } as unknown as Contender;
}

/** Rows 0, 1, 2, …, with labels where they are given. */
function dataset(count: number, labels?: readonly (number | string)[]): Dataset {
  return {
    source: 'test',
    count,
    read: async (index) => ({
      name: `row ${index}`,
      tensors: { rows: 1, bytes: 1, size: UNIT_ROW, bucket: '', inputs: [Uint8Array.of(index)], shapes: [[1, 1]] },
      ...(labels !== undefined && { label: labels[index]! }),
    }),
  };
}

const CLASSES: ClassOutput = { name: 'scores', size: 2, names: ['even', 'odd'] };
const parity: Answer = (value) => (value % 2 === 0 ? [1, 0] : [0, 1]);
const always: Answer = () => [0.75, 0.25];

function run(
  contenders: readonly Contender[],
  data: Dataset,
  { classes }: { classes: ClassOutput | undefined } = { classes: CLASSES },
) {
  return evaluate(contenders, data, { classes, signal: new AbortController().signal, progress: () => {} });
}

describe('the quality of a candidate', () => {
  test('is how many answers are right, by class too, and how many stay the same', async () => {
    const labels = ['even', 'odd', 'even', 'odd', 'even'];
    const [base, candidate] = await run([contender(parity), contender(always)], dataset(5, labels));
    expect(base).toMatchObject({ rows: 5, accuracy: 1, perClass: [1, 1], agreement: 1, maxAbs: 0 });
    expect(candidate).toMatchObject({ accuracy: 0.6, perClass: [1, 0], agreement: 0.6, maxAbs: 0.75 });
    expect(candidate!.meanAbs).toBeCloseTo(0.45);
  });

  test('names the rows that are answered differently, with both answers', async () => {
    const [, candidate] = await run([contender(parity), contender(always)], dataset(2, [0, 1]));
    expect(candidate!.flips).toEqual({
      count: 1,
      shown: [
        {
          row: 1,
          name: 'row 1',
          label: 'odd',
          base: { class: 1, name: 'odd', value: 1 },
          candidate: { class: 0, name: 'even', value: 0.75 },
        },
      ],
    });
  });

  test('keeps some of many such rows, from all over the data', async () => {
    const [, candidate] = await run([contender(() => [0, 1]), contender(always)], dataset(1000));
    const rows = candidate!.flips.shown.map(({ row }) => row);
    expect(candidate!.flips.count).toBe(1000);
    expect(rows).toHaveLength(200);
    expect([rows[0], rows.at(-1)]).toEqual([0, 995]);
  });

  test('has no accuracy without known classes', async () => {
    const [, candidate] = await run([contender(parity), contender(parity)], dataset(3));
    expect(candidate).not.toHaveProperty('accuracy');
  });

  test('has null for a class that no row is of', async () => {
    const [base] = await run([contender(parity)], dataset(1, ['even']));
    expect(base?.perClass).toEqual([1, null]);
  });

  test('counts the rows and gives the first reason when a candidate fails', async () => {
    const broken = {
      maxRows: 4,
      answer: async () => Promise.reject(new RunError('no kernel')),
    } as unknown as Contender;
    const [, candidate] = await run([contender(parity), broken], dataset(6));
    expect(candidate).toMatchObject({ rows: 0, failed: 6, failure: 'no kernel', agreement: 0 });
  });

  test('without classes is the distance of its numbers from the numbers of the base', async () => {
    const scores = (offset: number) => contender((value) => [100, value].map((each) => each + offset).slice(0, 1), 1);
    const [, near, far] = await run([scores(0), scores(4), scores(6)], dataset(3), { classes: undefined });
    expect(near).toMatchObject({ agreement: 1, maxAbs: 4, flips: { count: 0, shown: [] } });
    expect(far).toMatchObject({ agreement: 0, maxAbs: 6, flips: { count: 3, shown: [] } });
  });
});

test('a base that fails ends the comparison', async () => {
  const broken = { maxRows: 4, answer: async () => Promise.reject(new RunError('no kernel')) } as unknown as Contender;
  await expect(run([broken], dataset(1))).rejects.toThrow('no kernel');
});

test('a label that is no class is an error that names the row', async () => {
  await expect(run([contender(parity)], dataset(2, ['even', 'prime']))).rejects.toThrow(
    "row 1: 'prime' is no class of the model: expected even, odd",
  );
});
