import { expect, test } from 'vitest';
import { WayBack } from '../../src/http2/way-back.ts';

function after(...samples: readonly number[]): number {
  const wayBack = new WayBack();
  for (const sample of samples) wayBack.observe(sample);
  return wayBack.ms;
}

test('the way back is a guess until something was measured', () => {
  expect(after()).toBe(1);
});

test('the way back is never less than half a millisecond', () => {
  expect(after(...Array(10).fill(0.05))).toBe(0.5);
});

test.each([1, 2])('a peer that stalled in %i of its last ten answers is no slow peer', (stalls) => {
  expect(after(...Array(stalls).fill(1_000))).toBe(1);
  expect(after(...Array(10).fill(3), ...Array(stalls).fill(1_000))).toBe(3);
});

test('a slow line is known after three samples, and a fast one by the time its slow samples are eight ago', () => {
  expect(after(40, 40, 40)).toBe(40);
  expect(after(...Array(10).fill(40), ...Array(7).fill(2))).toBe(40);
  expect(after(...Array(10).fill(40), ...Array(8).fill(2))).toBe(2);
});

test('what varies is taken high: of ten samples the third largest', () => {
  expect(after(1, 9, 2, 8, 3, 10, 4, 7, 5, 6)).toBe(8);
});

test('the longest that the socket was full counts to the next sample, and only to that', () => {
  const wayBack = new WayBack();
  for (let round = 0; round < 10; round++) {
    wayBack.blocked(20);
    wayBack.blocked(5);
    wayBack.observe(2);
  }
  expect(wayBack.ms).toBe(22);
  for (let round = 0; round < 10; round++) wayBack.observe(2);
  expect(wayBack.ms).toBe(2);
});
