import { expect, test } from 'vitest';
import { Slices } from '../../../src/gateway/accept/slices.ts';

test('each turn of the event loop runs one slice, whichever work it belongs to', async () => {
  const slices = new Slices();
  let turn = 0;
  let isDone = false;
  const count = (): void => {
    turn += 1;
    if (!isDone) setImmediate(count);
  };
  setImmediate(count);
  const turns: number[] = [];
  const work = async (): Promise<void> => {
    for (let slice = 0; slice < 5; slice += 1) {
      await slices.next();
      turns.push(turn);
    }
  };
  await Promise.all([work(), work(), work()]);
  isDone = true;
  expect(turns).toHaveLength(15);
  expect(new Set(turns).size).toBe(15);
});

test('work that waits has its slices in turn with others', async () => {
  const slices = new Slices();
  const order: string[] = [];
  const work = async (name: string): Promise<void> => {
    for (let slice = 0; slice < 3; slice += 1) {
      await slices.next();
      order.push(name);
    }
  };
  await Promise.all([work('a'), work('b')]);
  expect(order.join('')).toBe('ababab');
});

test('a slice has time when it begins, and is over when the time is', async () => {
  const slices = new Slices();
  expect(slices.isOver).toBe(true);
  await slices.next();
  expect(slices.isOver).toBe(false);
  const begun = performance.now();
  while (performance.now() - begun < 10);
  expect(slices.isOver).toBe(true);
});
