import { expect, test } from 'vitest';
import { RunFailure } from '../../../src/worker/run-failure.ts';
import type { LabelsOptions } from '../../../src/worker/step-spec.ts';
import { LabelsStep } from '../../../src/worker/steps/labels.ts';

function labelled(logits: readonly number[], options: Partial<LabelsOptions>) {
  const step = new LabelsStep({ kind: 'labels', function: 'softmax', labels: [], ...options });
  const data = new Uint8Array(Float32Array.from(logits).buffer);
  const [label, score] = step.run([{ shape: [1, logits.length], data }]);
  const values = score?.data as Uint8Array<ArrayBuffer>;
  return { labels: label?.data, scores: [...new Float32Array(values.buffer)] };
}

test.each([
  ['softmax', [0.25, 0.75], ['b', 'a'], [0.75, 0.25]],
  ['sigmoid', [0.5, 0.5], ['a', 'b'], [0.5, 0.5]],
  ['none', [-1, 2], ['b', 'a'], [2, -1]],
] as const)('%s gives scores, the greatest first', (name, given, labels, scores) => {
  const logits = name === 'softmax' ? given.map(Math.log) : name === 'sigmoid' ? [0, 0] : given;
  const { labels: found, scores: values } = labelled(logits, { function: name, labels: ['a', 'b'] });
  expect(found).toEqual(labels);
  for (const [at, value] of values.entries()) expect(value).toBeCloseTo(scores[at] ?? Number.NaN, 6);
});

test('large logits stay finite', () => {
  expect(labelled([1_000, 0], {}).scores).toEqual([1, 0]);
});

test('only the likeliest are given, by their numbers where they have no names', () => {
  expect(labelled([1, 3, 2], { function: 'none', topK: 2 })).toEqual({ labels: ['1', '2'], scores: [3, 2] });
});

test('more classes than there are logits are refused', () => {
  expect(() => labelled([1], { topK: 2 })).toThrow(RunFailure);
});
