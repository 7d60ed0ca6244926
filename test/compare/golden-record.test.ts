import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Contender } from '../../src/compare/contender.ts';
import { recordGolden, writeGolden } from '../../src/compare/golden-record.ts';
import { DataError, type Sample } from '../../src/compare/sample.ts';
import { UNIT_ROW } from '../../src/gateway/admit/infer-tensors.ts';
import { readNpz } from '../../src/gateway/repository/npz-archive.ts';
import type { Datatype } from '../../src/wire/tensor.ts';
import { bytesOf } from '../../src/wire/tensor-bytes.ts';
import { signatureOf, spec } from '../support/infer-requests.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const floats = (...values: readonly number[]) => new Uint8Array(Float32Array.from(values).buffer);
const SHA = 'c'.repeat(64);

function sample(...values: readonly number[]): Sample {
  const inputs = [floats(...values)];
  const tensors = { rows: 1, bytes: 8, size: UNIT_ROW, bucket: '', inputs, shapes: [[1, values.length]] };
  return { name: 'row', tensors };
}

/** Doubles its rows; those in a batch are off by `batchError`. */
function doubling({ batchError = 0, datatype = 'FP32' }: { batchError?: number; datatype?: Datatype } = {}): Contender {
  return {
    sha256: SHA,
    maxRows: 4,
    signature: signatureOf([spec('x', datatype, [-1, 2])], { outputs: [spec('y', 'FP32', [-1, 2])] }),
    answer: async (rows: readonly Sample['tensors'][]) =>
      rows.map(({ inputs }) => {
        const values = new Float32Array(bytesOf(inputs[0] ?? new Uint8Array()).slice().buffer);
        const error = rows.length > 1 ? batchError : 0;
        const data = floats(...Array.from(values, (value) => 2 * value + error));
        return [{ name: 'y', datatype: 'FP32', shape: [1, 2], data }];
      }),
  } as unknown as Contender;
}

async function record(contender: Contender, samples: readonly Sample[] = [sample(1, 2), sample(3, 4), sample(-50, 0)]) {
  const files = await recordGolden(contender, samples, { madeBy: 'a test' });
  const description = JSON.parse(Buffer.from(files.get('golden.json') ?? []).toString());
  return { files, description, arrays: await readNpz(Buffer.from(files.get('golden.npz') ?? [])) };
}

describe('golden inputs', () => {
  test('hold the rows and the answers that each gets by itself', async () => {
    const { description, arrays } = await record(doubling());
    expect(description).toMatchObject({ sha256: SHA, madeBy: 'a test', tolerance: { argmax: true } });
    expect(arrays.get('input.x')).toMatchObject({ datatype: 'FP32', shape: [3, 2] });
    expect(Buffer.compare(arrays.get('input.x')?.data ?? floats(), floats(1, 2, 3, 4, -50, 0))).toBe(0);
    expect(Buffer.compare(arrays.get('output.y')?.data ?? floats(), floats(2, 4, 6, 8, -100, 0))).toBe(0);
  });

  test('tolerate rounding in proportion to the largest answer, and more of it on other processors', async () => {
    const { description } = await record(doubling());
    expect(description.tolerance.maxAbs).toBeCloseTo(100 * 1e-5);
    expect(description.elsewhere.maxAbs).toBeCloseTo(100 * 0.05);
  });

  test('tolerate four times what a batch changes, unless that is more than rounding', async () => {
    const little = await record(doubling({ batchError: 0.005 }));
    expect(little.description.tolerance.maxAbs).toBeCloseTo(0.02, 2);
    const much = await record(doubling({ batchError: 5 }));
    expect(much.description.tolerance.maxAbs).toBeCloseTo(100 * 1e-5);
  });

  test('with different shapes, or with texts, are refused with the name of the tensor', async () => {
    await expect(record(doubling(), [sample(1, 2), sample(1, 2, 3)])).rejects.toThrow(
      /'x' has \[1,2\] in one, \[1,3\]/,
    );
    await expect(record(doubling({ datatype: 'BYTES' }))).rejects.toThrow(DataError);
  });

  test('replace those that are there as a whole, and leave nothing else behind', async () => {
    const directory = temporaryDirectory();
    const read = () => fs.readdirSync(path.join(directory, 'golden')).sort();
    await writeGolden(directory, new Map([['old.txt', Buffer.from('old')]]));
    expect(read()).toEqual(['old.txt']);
    await writeGolden(directory, (await record(doubling())).files);
    expect(read()).toEqual(['golden.json', 'golden.npz']);
    expect(fs.readdirSync(directory)).toEqual(['golden']);
  });
});
