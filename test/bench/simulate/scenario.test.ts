import { describe, expect, test } from 'vitest';
import type { Answer } from '../../../bench/simulate/client.ts';
import { RESNET_50 } from '../../../bench/simulate/curves.ts';
import {
  answerMs,
  fatesText,
  goodput,
  inTimeShare,
  lateShare,
  merge,
  sentIn,
  serve,
} from '../../../bench/simulate/scenario.ts';
import { serveTriton } from '../../../bench/simulate/triton.ts';

function answer(sentMs: number, latencyMs: number, fate: Answer['fate'], rows = 1): Answer {
  return { sentMs, latencyMs, fate, rows, label: '' };
}

const ANSWERS = [
  answer(0, 10, 'in_time'),
  answer(5, 20, 'late'),
  answer(10, 5, 'shed'),
  answer(20, 10, 'in_time', 4),
  answer(30, 1, 'refused'),
];

describe('figures of answers', () => {
  test('count a request by when it was sent, and goodput by when it was answered', () => {
    expect(inTimeShare(ANSWERS)).toBe(0.4);
    expect(inTimeShare(ANSWERS, sentIn(0, 10))).toBe(0.5);
    expect(goodput(ANSWERS, 10, 31)).toBe(5 / 21);
    expect(goodput(ANSWERS, 10, 30)).toBe(1 / 20);
  });

  test('count latencies of answered requests only, and name the other outcomes', () => {
    expect(answerMs(ANSWERS, 0.99)).toBe(20);
    expect(fatesText(ANSWERS)).toBe('late 1, shed 1, refused 1');
  });
});

test('streams of requests are merged in the order of their arrivals', () => {
  const { arrivals, plan } = merge([
    { arrivals: Float64Array.of(1, 4), plan: { label: 'a' } },
    { arrivals: Float64Array.of(2, 3), plan: { label: 'b' } },
  ]);
  expect([...arrivals]).toEqual([1, 2, 3, 4]);
  expect([0, 1, 2, 3].map((index) => plan(index).label)).toEqual(['a', 'b', 'b', 'a']);
});

test('a scheduler that is idle answers each request when its run is over', async () => {
  const arrivals = Float64Array.of(0, 100, 200);
  const { replies, instances } = await serve({
    curve: RESNET_50,
    arrivals,
    plan: () => ({ deadlineMs: 250 }),
    noise: 0,
  });
  expect(replies.map(({ sentMs, latencyMs, fate }) => [sentMs, Number(latencyMs.toFixed(6)), fate])).toEqual(
    [0, 100, 200].map((time) => [time, 41.9, 'in_time']),
  );
  expect(instances.runs).toHaveLength(3);
  expect(lateShare(instances.runs, replies)).toBe(0);
  expect(lateShare(instances.runs, replies.slice(1))).toBeCloseTo(1 / 3);
});

test("Triton's rule drops what has expired when it forms a batch, and runs the rest in the order of arrival", () => {
  const curve = { ...RESNET_50, maxRows: 2 };
  const deadlines = [1_000, 20, 1_000, 1_000];
  const answers = serveTriton(
    curve,
    { arrivals: Float64Array.of(0, 1, 2, 3), plan: (index) => ({ deadlineMs: deadlines[index] }) },
    0,
  );
  expect(answers.map(({ sentMs, fate }) => [sentMs, fate])).toEqual([
    [0, 'in_time'],
    [1, 'expired'],
    [2, 'in_time'],
    [3, 'in_time'],
  ]);
});
