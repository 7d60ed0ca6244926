import { expect, test } from 'vitest';
import { Mutex } from '../src/mutex.ts';

test('a free mutex starts work before run returns, and is free again after the work', async () => {
  const mutex = new Mutex();
  let started = false;
  const done = mutex.run(async () => {
    started = true;
    return 7;
  });
  expect(started).toBe(true);
  expect(mutex.isFree).toBe(false);
  expect(await done).toBe(7);
  await mutex.free;
  expect(mutex.isFree).toBe(true);
});

test('a mutex runs one piece of work at a time, in the order of arrival, also after work that fails', async () => {
  const mutex = new Mutex();
  const events: string[] = [];
  const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const runs = gates.map(({ promise }, index) =>
    mutex.run(async () => {
      events.push(`${index} starts`);
      await promise.finally(() => events.push(`${index} ends`));
    }),
  );
  gates[2]?.resolve();
  gates[0]?.reject(new Error('failed'));
  gates[1]?.resolve();
  const results = await Promise.allSettled(runs);
  expect(results.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'fulfilled']);
  expect(events).toEqual(['0 starts', '0 ends', '1 starts', '1 ends', '2 starts', '2 ends']);
  expect(mutex.free).toBeInstanceOf(Promise);
});
