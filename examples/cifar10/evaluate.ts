/**
 * The accuracy of an exported model, in the runtime that serves it.
 *
 *   node evaluate.ts MODEL RECORDS
 */

import { parseArgs } from 'node:util';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { batches, CLASSES, Records } from './records.ts';

/** Counts of the right answers and of all images, by class. */
interface Score {
  readonly right: readonly number[];
  readonly total: readonly number[];
}

export async function evaluate(session: InferenceSession, records: Records): Promise<Score> {
  const right = CLASSES.map(() => 0);
  const total = CLASSES.map(() => 0);
  for (const batch of batches([...Array(records.count).keys()], 64)) {
    const image = new Tensor('uint8', records.pixels(batch), [batch.length, 3, 32, 32]);
    const { probabilities } = await session.run({ image });
    if (probabilities === undefined) throw new Error("the model has no output 'probabilities'");
    const values = probabilities.data as Float32Array;
    for (const [row, index] of batch.entries()) {
      const answers = values.subarray(row * CLASSES.length, (row + 1) * CLASSES.length);
      const label = records.label(index);
      total[label] = (total[label] ?? 0) + 1;
      if (answers.indexOf(Math.max(...answers)) === label) right[label] = (right[label] ?? 0) + 1;
    }
  }
  return { right, total };
}

function percent(right: number, total: number): string {
  return `${((100 * right) / total).toFixed(2)} %`;
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}

if (import.meta.main) {
  const [model, records] = parseArgs({ allowPositionals: true }).positionals;
  if (model === undefined || records === undefined) throw new Error('usage: node evaluate.ts MODEL RECORDS');
  const { right, total } = await evaluate(await InferenceSession.create(model), Records.read(records));
  for (const [label, name] of CLASSES.entries()) {
    console.log(name.padEnd(12), percent(right[label] ?? 0, total[label] ?? 0).padStart(8));
  }
  console.log('all'.padEnd(12), percent(sum(right), sum(total)).padStart(8), ` of ${sum(total)} images`);
}
