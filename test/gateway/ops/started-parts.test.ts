import { expect, onTestFinished, test } from 'vitest';
import { diagnostics } from '../../../src/gateway/ops/diagnostics.ts';
import { StartedParts } from '../../../src/gateway/ops/started-parts.ts';

test('parts are ended in reverse, each once, after the one before has ended', async () => {
  const ended: string[] = [];
  const parts = new StartedParts();
  for (const name of ['a', 'b', 'c']) {
    const part = await parts.start(
      name,
      async () => name.toUpperCase(),
      async (each) => {
        await new Promise(setImmediate);
        ended.push(each);
      },
    );
    expect(part).toBe(name.toUpperCase());
  }
  await parts.end();
  await parts.end();
  expect(ended).toEqual(['C', 'B', 'A']);
});

test('a part that cannot be ended is reported and keeps no other from its end', async () => {
  const notices: string[] = [];
  onTestFinished(diagnostics.notice.subscribe(({ text }) => notices.push(text)));
  const ended: string[] = [];
  const parts = new StartedParts();
  await parts.start(
    'first',
    () => 1,
    () => ended.push('first'),
  );
  await parts.start(
    'second',
    () => 2,
    () => Promise.reject(new Error('stuck')),
  );
  const third = parts.start(
    'third',
    () => Promise.reject(new Error('no port')),
    () => ended.push('third'),
  );
  await expect(third).rejects.toThrow('no port');
  await parts.end();
  expect(ended).toEqual(['first']);
  expect(notices).toEqual(['second could not be ended']);
});
